"""Chinese never comes out as boxes: which face is found, what is derived, and what it can draw."""

import importlib.util
import sys
from io import BytesIO
from pathlib import Path

import pytest
import typst
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

from compresslab.report import fonts

DIFFERING = "骨直令與應角化述差判說戶"

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("notojp_matplotlib") is None, reason="notojp-matplotlib is not installed"
)


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> fonts.Face:
    face = fonts.derived_face(tmp_path_factory.mktemp("fonts"))
    assert face is not None
    return face


def shapes(source: str, folder: Path) -> list[str]:
    """Outlines that Typst draws, in order, without positions."""
    page = typst.compile(source.encode(), format="svg", font_paths=[str(folder)], ignore_system_fonts=True)
    text = (page if isinstance(page, bytes) else page[0]).decode()
    paths = dict(part.split('" ', 1) for part in text.split('<symbol id="')[1:])
    uses = [part.split('"', 1)[0] for part in text.split('<use xlink:href="#')[1:]]
    return [paths[use].split(' d="')[1].split('"')[0] for use in uses]


@needs_package
def test_derived_face_draws_the_forms_that_a_shaper_chooses_for_taiwan(derived: fonts.Face) -> None:
    # The original font, shaped for zh-TW by Typst's shaper, is the oracle: it applies the font's own rules.
    package = Path(importlib.util.find_spec("notojp_matplotlib").submodule_search_locations[0]) / "fonts"
    page = '#set page(width: 400pt, height: 60pt)\n#set text(font: "{}", lang: "{}"{})\n' + DIFFERING
    taiwan = shapes(page.format("Noto Sans CJK JP", "zh", ', region: "TW"'), package)
    japan = shapes(page.format("Noto Sans CJK JP", "ja", ""), package)
    ours = shapes(page.format(fonts.DERIVED_FAMILY, "en", ""), derived.path.parent)
    assert len(ours) == len(DIFFERING)
    assert ours == taiwan
    assert ours != japan


@needs_package
def test_derivation_never_imports_the_package_and_repeats_its_bytes(derived: fonts.Face, tmp_path: Path) -> None:
    again = fonts.derived_face(tmp_path)
    assert "notojp_matplotlib" not in sys.modules
    assert again is not None
    assert again.path.read_bytes() == derived.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [again.path.name]


@needs_package
def test_missing_characters_names_what_has_no_glyph_but_no_spaces(derived: fonts.Face) -> None:
    assert fonts.missing_characters("骨架 α\u2009→\u202f測試\n", derived) == ""
    assert fonts.missing_characters("好\U0001f600壞", derived) == "\U0001f600"


@needs_package
def test_web_font_holds_the_characters_of_the_text_and_no_others(derived: fonts.Face) -> None:
    font = TTFont(BytesIO(fonts.web_font(derived, "直門 a")))
    assert set(font.getBestCmap()) == {ord(character) for character in "直門 a"}


def test_without_any_face_the_error_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "installed_face", lambda: None)
    monkeypatch.setattr(fonts, "derived_face", lambda: None)
    fonts.chinese_face.cache_clear()
    with pytest.raises(fonts.MissingFontError) as error:
        fonts.chinese_face()
    fonts.chinese_face.cache_clear()
    message = str(error.value)
    assert "\n" not in message
    assert all(way in message for way in ("pip install", "apt install"))
    # conda's package holds variable fonts, which `installed_face` passes over.
    assert "font-ttf-noto-cjk" not in message


def make_font(path: Path, family: str, variable: bool = False) -> str:
    """A font with one glyph, as small as a font can be."""
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "A"])
    builder.setupCharacterMap({65: "A"})
    builder.setupGlyf({name: TTGlyphPen(None).glyph() for name in (".notdef", "A")})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "A": (500, 0)})
    builder.setupHorizontalHeader()
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    if variable:
        builder.setupFvar([("wght", 100, 100, 900, "Weight")], [])
    builder.save(path)
    return str(path)


def test_installed_faces_are_taken_in_order_and_variable_ones_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [
        make_font(tmp_path / "NotoSansTC-VF.ttf", "Noto Sans CJK TC", variable=True),
        make_font(tmp_path / "msjh.ttf", "Microsoft JhengHei"),
        make_font(tmp_path / "SourceHanSansTC.ttf", "Source Han Sans TC"),
        make_font(tmp_path / "Other.ttf", "Noto Sans TC"),
    ]
    monkeypatch.setattr(fonts.font_manager, "findSystemFonts", lambda: files)
    face = fonts.installed_face()
    assert face == fonts.Face("Source Han Sans TC", tmp_path / "SourceHanSansTC.ttf")


def test_a_damaged_font_file_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "NotoSansCJK.ttc"
    broken.write_bytes(b"not a font")
    monkeypatch.setattr(fonts.font_manager, "findSystemFonts", lambda: [str(broken)])
    assert fonts.installed_face() is None
