"""A Traditional Chinese face for figures and documents, on any machine.

An installed face is taken first. Without one, the Noto Sans CJK that the PyPI package ``notojp-matplotlib``
carries is turned into a Traditional Chinese face: the file holds the glyphs of every region and shows Japanese
ones unless a program asks for another language, which matplotlib cannot do. The derived face makes the font's
own substitutions for the language system ZHT (OpenType feature ``locl``) its default.
"""

import importlib.util
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import platformdirs
from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont, TTLibError
from matplotlib import font_manager

from compresslab.artifacts import file_sha256, written_whole

INSTALLED_FAMILIES = (
    "Noto Sans CJK TC",
    "Noto Sans TC",
    "Source Han Sans TC",
    "Source Han Sans TW",
    "PingFang TC",
    "Microsoft JhengHei",
    "Heiti TC",
    "WenQuanYi Zen Hei",
)
DERIVED_FAMILY = "Compresslab Sans TC"

_FILE_NAME_PARTS = ("notosanscjk", "notosanstc", "sourcehansans", "pingfang", "msjh", "stheiti", "wqy-zenhei")
_PACKAGE = "notojp_matplotlib"
_PACKAGE_FILE = Path("fonts") / "NotoSansCJKjp-Regular.otf"
_WINDOWS_ENGLISH = (3, 1, 0x409)


class MissingFontError(RuntimeError):
    """No Traditional Chinese face can be found or derived on this machine."""

    def __init__(self) -> None:
        super().__init__(
            "no Traditional Chinese font found; install one: pip install notojp-matplotlib, "
            "or (Debian, Ubuntu) apt install fonts-noto-cjk"
        )


@dataclass(frozen=True)
class Face:
    """One face in one file: the family name that matplotlib, Typst and CSS know it by, and where it lies."""

    family: str
    path: Path

    @property
    def index(self) -> int:
        """Number of the face inside its file (0 but for ``.ttc`` collections)."""
        names = [family for _, family in _faces(self.path)]
        return names.index(self.family)


@lru_cache(maxsize=1)
def chinese_face() -> Face:
    """Return the first installed Traditional Chinese face, or else the derived one.

    Raises MissingFontError, with the ways to install a font, when there is neither.
    """
    face = installed_face() or derived_face()
    if face is None:
        raise MissingFontError
    return face


def installed_face() -> Face | None:
    """Look for the families of ``INSTALLED_FAMILIES``, in that order, in the system's font folders.

    Variable fonts are passed over: matplotlib draws only their default instance, which in Noto is hairline thin.
    """
    found: dict[str, Face] = {}
    for path in map(Path, sorted(font_manager.findSystemFonts())):
        if any(part in path.name.lower() for part in _FILE_NAME_PARTS):
            for font, family in _faces(path):
                if _is_regular(font) and family in INSTALLED_FAMILIES:
                    found.setdefault(family, Face(family, path))
    return next((found[family] for family in INSTALLED_FAMILIES if family in found), None)


def derived_face(cache: Path | None = None) -> Face | None:
    """Derive ``DERIVED_FAMILY`` from the installed package into ``cache`` (the user's cache folder when unset).

    Returns None when the package is not installed. The package is located, never imported: its import changes
    matplotlib's settings.
    """
    source = _package_font()
    if source is None:
        return None
    cache = cache or platformdirs.user_cache_path("compresslab") / "fonts"
    target = cache / f"CompresslabSansTC-{file_sha256(source)[:12]}.otf"
    if not target.exists():
        with written_whole(target) as temporary:
            derive_traditional_chinese(source, temporary)
    return Face(DERIVED_FAMILY, target)


def derive_traditional_chinese(source: Path, target: Path) -> None:
    """Write ``source`` again with the glyphs of its language system ZHT as the default ones, under a new name."""
    # Outlines and layout are read through a second handle: tables that were parsed are compiled again on saving,
    # which takes half a minute, while untouched ones are copied.
    parsed = TTFont(source, lazy=True)
    substitutions = _localized_forms(parsed, "ZHT ")
    font = TTFont(source, lazy=True, recalcTimestamp=False)
    font.setGlyphOrder(parsed.getGlyphOrder())
    for table in font["cmap"].tables:
        if table.format != 14:  # Format 14 holds variation sequences, which name their glyphs themselves.
            table.cmap = {code: substitutions.get(glyph, glyph) for code, glyph in table.cmap.items()}
    _rename(font, DERIVED_FAMILY)
    if "DSIG" in font:
        del font["DSIG"]
    font.save(target)


def use_in_matplotlib(face: Face) -> None:
    """Make ``face`` known to matplotlib by its family name."""
    if face.family not in {entry.name for entry in font_manager.fontManager.ttflist}:
        font_manager.fontManager.addfont(face.path)


def missing_characters(text: str, face: Face) -> str:
    """Return the characters of ``text``, sorted, that ``face`` has no glyph for (spaces and marks aside)."""
    return "".join(sorted(character for character in set(text) if _is_visible(character, face)))


@lru_cache(maxsize=2)
def coverage(face: Face) -> frozenset[int]:
    """Code points that ``face`` has glyphs for."""
    return frozenset(TTFont(face.path, fontNumber=face.index, lazy=True).getBestCmap())


def web_font(face: Face, text: str) -> bytes:
    """Return a WOFF font that holds only the characters of ``text``, to be embedded in a page."""
    options = subset.Options(flavor="woff", layout_features=["kern", "palt"], hinting=False, desubroutinize=True)
    options.drop_tables += ["VORG", "vhea", "vmtx", "BASE"]
    font = subset.load_font(str(face.path), subset.Options(font_number=face.index))
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=text)
    subsetter.subset(font)
    font.recalcTimestamp = False
    stream = BytesIO()
    subset.save_font(font, stream, options)
    return stream.getvalue()


def _is_visible(character: str, face: Face) -> bool:
    drawn = unicodedata.category(character)[0] not in "ZCM"
    return drawn and ord(character) not in coverage(face)


def _package_font() -> Path | None:
    specification = importlib.util.find_spec(_PACKAGE)
    for folder in (specification.submodule_search_locations or ()) if specification else ():
        if (path := Path(folder) / _PACKAGE_FILE).is_file():
            return path
    return None


def _faces(path: Path) -> list[tuple[TTFont, str]]:
    try:
        fonts = TTCollection(path, lazy=True).fonts if path.suffix.lower() == ".ttc" else [TTFont(path, lazy=True)]
        return [(font, font["name"].getDebugName(1) or "") for font in fonts]
    except (OSError, TTLibError):
        return []


def _is_regular(font: TTFont) -> bool:
    return "fvar" not in font and font["OS/2"].usWeightClass == 400


def _localized_forms(font: TTFont, language_system: str) -> dict[str, str]:
    """Single substitutions that ``locl`` makes for a language system of the script ``hani``, in lookup order."""
    layout = font["GSUB"].table
    script = next(record.Script for record in layout.ScriptList.ScriptRecord if record.ScriptTag == "hani")
    system = next(record.LangSys for record in script.LangSysRecord if record.LangSysTag == language_system)
    features = [layout.FeatureList.FeatureRecord[index] for index in system.FeatureIndex]
    lookups = {i for record in features if record.FeatureTag == "locl" for i in record.Feature.LookupListIndex}
    forms: dict[str, str] = {}
    for index in sorted(lookups):
        for table in layout.LookupList.Lookup[index].SubTable:
            single = table.ExtSubTable if table.LookupType == 7 else table
            if single.LookupType == 1:
                forms = {glyph: single.mapping.get(form, form) for glyph, form in forms.items()} | {
                    glyph: form for glyph, form in single.mapping.items() if glyph not in forms
                }
    return forms


def _rename(font: TTFont, family: str) -> None:
    """Name the face ``family``: the licence of Noto (OFL) wants a derived font to be called otherwise."""
    names = font["name"]
    for identifier in (16, 17, 18, 21, 22, 25):
        names.removeNames(nameID=identifier)
    post_script = family.replace(" ", "") + "-Regular"
    for identifier, text in {1: family, 2: "Regular", 3: post_script, 4: family, 6: post_script}.items():
        names.removeNames(nameID=identifier)
        names.setName(text, identifier, *_WINDOWS_ENGLISH)
