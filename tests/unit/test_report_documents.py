"""Documents: one file, no request, the same bytes every time, every character drawn."""

import re
import zipfile
from pathlib import Path

import pytest
import synthetic_report

from compresslab.report import documents, index
from compresslab.report.evidence import Subject, read_evidence
from compresslab.report.figures import registry
from compresslab.report.figures.material import Material
from compresslab.report.fonts import MissingFontError, chinese_face
from compresslab.report.languages import language
from compresslab.report.narrative import narrative_path

PROJECT = Path(__file__).parents[2]
REPORT = PROJECT / "report"

MARKDOWN = """# {heading}

::: {{.banner}}
**{heading}.** {heading}
:::

::: {{.keyfigures}}
::: {{.keyfigure}}
**97.4 %**

{heading}
:::
:::

$$S = \\frac{{r_{{\\max}} - r_{{\\min}}}}{{q_{{\\max}} - q_{{\\min}}}}$$

![**1.** {heading}](figures/accuracy.svg){{#figure-accuracy alt="{heading}"}}

| `variant` | {heading} |
| :--- | ---: |
| `numpy-int8-lut` | 0.360 [0.353, 0.371] |

: **1.** {heading}
"""
HEADINGS = {"zh-TW": "量化架構", "en": "Quantization"}


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    material = Material(tables=synthetic_report.tables())
    registry.draw_and_save(
        "accuracy", material, language("en", REPORT), folder / "accuracy.svg", folder / "accuracy.png"
    )
    return folder


def require_face(tag: str) -> None:
    if tag == "zh-TW":
        try:
            chinese_face()
        except MissingFontError:
            pytest.skip("no Chinese face on this machine")


def outputs(folder: Path) -> documents.Outputs:
    return documents.Outputs(html=folder / "report.html", pdf=folder / "report.pdf", docx=folder / "report.docx")


def front(tag: str) -> documents.Front:
    return documents.Front(title=HEADINGS[tag], subtitle="compresslab", file_stem="lab", languages=("zh-TW", "en"))


@pytest.mark.parametrize("tag", ["zh-TW", "en"])
def test_documents_repeat_their_bytes_and_need_nothing_else(tag: str, figures: Path, tmp_path: Path) -> None:
    require_face(tag)
    text = MARKDOWN.format(heading=HEADINGS[tag])
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        documents.write_documents(text, figures, front(tag), language(tag, REPORT), outputs(folder), REPORT)
    for kind in ("html", "pdf", "docx"):
        first, second = ((folder / f"report.{kind}").read_bytes() for folder in folders)
        assert first == second, kind
        assert str(tmp_path).encode() not in first
    page = (folders[0] / "report.html").read_text(encoding="utf-8")
    assert documents.external_reference(page) is None
    assert "<math" in page
    assert f'lang="{tag}"' in page
    other = "en" if tag == "zh-TW" else "zh-TW"
    assert f'href="lab.{other}.html"' in page
    assert not re.search(r'<img[^>]+src="(?!data:)', page)
    with zipfile.ZipFile(folders[0] / "report.docx") as archive:
        body = archive.read("word/document.xml").decode()
    assert HEADINGS[tag] in body
    assert "m:oMath" in body


def test_a_character_without_a_glyph_is_named_instead_of_drawn_as_a_box(figures: Path, tmp_path: Path) -> None:
    require_face("zh-TW")
    with pytest.raises(documents.DocumentError, match="no glyph for \U0001f600"):
        documents.write_documents(
            "量化\U0001f600", figures, front("zh-TW"), language("zh-TW", REPORT), outputs(tmp_path), REPORT
        )
    assert not list(tmp_path.iterdir())


def test_an_unknown_font_stops_the_paper(figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents._Build, "_type", lambda _: {"mainfont": ["No Such Face"], "fontsize": "10pt",
                        "leading": "0.7em", "spacing": "1em", "mathfont": ["New Computer Modern Math"],
                        "codefont": ["DejaVu Sans Mono"]})  # fmt: skip
    paper = documents.Outputs(pdf=tmp_path / "report.pdf")
    with pytest.raises(documents.DocumentError, match="unknown font family"):
        documents.write_documents("text", figures, front("en"), language("en", REPORT), paper, REPORT)
    assert not paper.pdf.exists()


def test_a_missing_image_is_an_error_that_names_it(figures: Path, tmp_path: Path) -> None:
    with pytest.raises(documents.DocumentError, match=r"figures/nowhere\.svg"):
        documents.write_documents(
            "![a](figures/nowhere.svg)", figures, front("en"), language("en", REPORT), outputs(tmp_path), REPORT
        )


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://cdn.example/x.js"></script>', True),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', True),
        ("<style>body { background: url(http://example/x.png) }</style>", True),
        ('<style>@import "x.css"</style>', True),
        ('<a href="https://example.org">a source</a>', False),
        ('<img src="data:image/svg+xml;base64,AAAA">', False),
        ('<a href="lab.en.html">English</a>', False),
    ],
)
def test_what_a_browser_would_fetch_is_found_and_links_are_not(html: str, found: bool) -> None:
    assert (documents.external_reference(html) is not None) == found


def test_the_whole_way_from_the_notebook(figures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    paths = synthetic_report.write_run(tmp_path / "run", embedded=True, scale="smoke")
    parameters = {
        "subject": synthetic_report.subject() | {"scale": "smoke"},
        "language": "en",
        "narrative": str(narrative_path("a-sixth-lab", "en")),
        "tables": str(paths["tables"]),
        "cards": [str(paths["card"])],
        "figures": str(figures),
        "hosts": {"local": str(paths["host"])},
    }
    wanted = documents.Outputs(html=tmp_path / "a.html", notebook=tmp_path / "a.ipynb")
    documents.render(Path("report/notebooks/lab.py"), parameters, figures, front("en"), language("en"), wanted)
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "mean nothing" in page
    assert "numpy-int8-pwl-tensor" in page
    assert "read_evidence" not in page
    assert "read_evidence" in (tmp_path / "a.ipynb").read_text(encoding="utf-8")
    with pytest.raises(documents.DocumentError, match=r"No such file|nowhere"):
        documents.execute(
            Path("report/notebooks/lab.py"), parameters | {"narrative": "nowhere.md.j2", "tables": "nowhere"}
        )


def test_the_index_leads_to_every_document_in_both_languages(tmp_path: Path) -> None:
    require_face("zh-TW")
    paths = synthetic_report.write_run(tmp_path, embedded=True, scale="smoke")
    subject = Subject.from_json(synthetic_report.subject() | {"scale": "smoke", "source": "embedded"})
    evidence = read_evidence(subject, paths["tables"], [paths["card"]], {"local": paths["host"]})
    index.write_index(tmp_path / "index.html", [evidence], [language(tag, REPORT) for tag in ("zh-TW", "en")], REPORT)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for tag in ("zh-TW", "en"):
        for kind in index.FORMATS:
            assert f'href="mnist-integer.{tag}.{kind}"' in page
    assert documents.external_reference(page) is None
    assert "已重現" in page
    assert "not reproduced" in page
    assert "資料由程式生成" in page
    assert "first look" in page
    with pytest.raises(ValueError, match="without a lab"):
        index.write_index(tmp_path / "none.html", [], [language("en", REPORT)], REPORT)
