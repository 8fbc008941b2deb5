"""From a notebook to a page, a paper and a Word file: jupytext, papermill, nbconvert, pandoc, Typst.

The notebook is executed, its Markdown output taken, and turned into HTML (MathML, one file, no request), PDF and DOCX.
Nothing that a document holds depends on the time or on a path of the machine.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import papermill
import pypandoc
import typst
from nbconvert import MarkdownExporter
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from compresslab.artifacts import written_whole
from compresslab.report.fonts import DERIVED_FAMILY, MissingFontError, chinese_face, missing_characters, web_font
from compresslab.report.languages import SOURCES, Language
from compresslab.report.typography import FULL_WIDTH, HAN
from compresslab.report.word import write_reference

KERNEL = "python3"

_READER = "markdown-yaml_metadata_block-smart+east_asian_line_breaks+tex_math_dollars+pipe_tables"
_EPOCH = {"SOURCE_DATE_EPOCH": "315619200"}
"""1980-01-02: the first whole day that a ZIP file can name, in every time zone."""

_HAN = re.compile(f"[{HAN}{FULL_WIDTH}]")
_DATA = re.compile(r'"data:[^"]*"')
_EXTERNAL = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)\s*=\s*["'](?:https?:)?//[^"']*|url\(\s*["']?(?:https?:)?//[^)]*|@import[^;]*"""
)


class DocumentError(RuntimeError):
    """A document cannot be made: which step failed, and why."""


@dataclass(frozen=True)
class Front:
    """What stands around the text: title, a line of facts, and links beside the page."""

    title: str
    subtitle: str
    file_stem: str
    """Name of the documents without language and ending: the lab's."""
    languages: tuple[str, ...]


@dataclass(frozen=True)
class Outputs:
    """Where the documents go; a format that is None is not made."""

    html: Path | None = None
    pdf: Path | None = None
    docx: Path | None = None
    notebook: Path | None = None


def render(
    notebook: Path,
    parameters: Mapping[str, Any],
    figures: Path,
    front: Front,
    language: Language,
    outputs: Outputs,
    sources: Path = SOURCES,
) -> None:
    """Execute ``notebook`` (jupytext) with ``parameters`` and write every document of ``outputs``.

    ``figures`` holds ``{name}.svg`` and ``{name}.png``, which the text calls ``figures/{name}.svg``. Raises
    DocumentError when a cell fails, when a character of a Chinese text has no glyph, when Typst does not know a font,
    or when the page would make a request.
    """
    executed = execute(notebook, parameters)
    if outputs.notebook:
        with written_whole(outputs.notebook) as temporary:
            nbformat.write(executed, temporary)
    write_documents(_displayed(executed), figures, front, language, outputs, sources)


def execute(notebook: Path, parameters: Mapping[str, Any]) -> nbformat.NotebookNode:
    """Run a jupytext notebook in the current folder; a cell that fails is a DocumentError with its error."""
    with tempfile.TemporaryDirectory() as folder:
        source, executed = Path(folder) / "source.ipynb", Path(folder) / "executed.ipynb"
        jupytext.write(jupytext.read(notebook), source)
        try:
            papermill.execute_notebook(
                str(source),
                str(executed),
                dict(parameters),
                kernel_name=KERNEL,
                progress_bar=False,
                log_output=False,
                # Socket files of this notebook's own in place of open ports: Jupyter's default, `kernel-ipc` in the
                # current folder, would be shared with the report that is written beside this one.
                config=Config({"KernelManager": {"transport": "ipc", "ip": str(Path(folder) / "kernel")}}),
            )
        except PapermillExecutionError as error:
            raise DocumentError(f"{notebook}: {error.ename}: {error.evalue}") from error
        return _without_times(nbformat.read(executed, as_version=4))


def write_documents(
    markdown: str, figures: Path, front: Front, language: Language, outputs: Outputs, sources: Path = SOURCES
) -> None:
    """Write the documents of ``outputs`` from Markdown, as ``render`` does from a notebook, with the same errors."""
    with tempfile.TemporaryDirectory() as folder:
        build = _Build(Path(folder), markdown, front, language, sources)
        shutil.copytree(figures, Path(folder) / "figures")
        for kind, make in {"html": build.html, "pdf": build.pdf, "docx": build.docx}.items():
            path: Path | None = getattr(outputs, kind)
            if path is not None:
                made = make()
                with written_whole(path) as temporary:
                    shutil.copyfile(made, temporary)


def font_face(text: str, language: Language) -> str:
    """Return a CSS rule that embeds the glyphs of ``text``, in an English page those of its Chinese characters only.

    An English page on a machine without a Chinese face goes without; a Chinese one raises MissingFontError.
    """
    try:
        face = chinese_face()
    except MissingFontError:
        if language.is_chinese:
            raise
        return ""
    characters = text if language.is_chinese else "".join(_HAN.findall(text)) + " "
    data = base64.b64encode(web_font(face, characters)).decode()
    return (
        f'@font-face {{ font-family: "{DERIVED_FAMILY}"; src: url("data:font/woff;base64,{data}") format("woff"); '
        "font-display: swap; }\n"
    )


def external_reference(html: str) -> str | None:
    """Return the first thing in a page that a browser would fetch from elsewhere, or None; plain links are none."""
    found = _EXTERNAL.search(_DATA.sub('""', html))
    return found.group() if found else None


class _Build:
    """One set of documents in a folder of its own."""

    def __init__(self, folder: Path, markdown: str, front: Front, language: Language, sources: Path) -> None:
        self._folder = folder
        self._text = markdown
        self._front = front
        self._language = language
        self._styles = (sources / "styles").resolve()
        (folder / "report.md").write_text(markdown, encoding="utf-8")
        if language.is_chinese:
            _check_glyphs(markdown)

    def html(self) -> Path:
        """One file: style, figures and, for Chinese, a font with just the characters of the text."""
        texts = [self._text, self._front.title, self._front.subtitle, *self._language.messages.values()]
        style = (self._styles / "report.css").read_text(encoding="utf-8") + font_face("".join(texts), self._language)
        (self._folder / "report.css").write_text(style, encoding="utf-8")
        out = self._folder / "report.html"
        metadata = {**self._metadata(), **self._links(), "css": "report.css"}
        options = (
            "--mathml",
            "--embed-resources",
            "--section-divs",
            "--table-of-contents",
            "--template",
            str(self._styles / "report.html"),
        )
        self._pandoc("html5", out, metadata, options)
        if found := external_reference(out.read_text(encoding="utf-8")):
            raise DocumentError(f"the page would make a request: {found!r}; every resource must be embedded")
        return out

    def pdf(self) -> Path:
        """Typst's PDF; a font that it does not know is an error."""
        source, out = self._folder / "report.typ", self._folder / "report.pdf"
        options = ("--template", str(self._styles / "report.typ"), "--syntax-highlighting=idiomatic")
        self._pandoc("typst-smart", source, {**self._metadata(), **self._type()}, options)
        try:
            _, warnings = typst.compile_with_warnings(
                str(source),
                output=str(out),
                root=str(self._folder),
                font_paths=_font_folders(self._language),
                timestamp=0,
            )
        except typst.TypstError as error:
            raise DocumentError(f"Typst: {error}") from error
        unknown = [warning.message for warning in warnings if "unknown font family" in warning.message]
        if unknown:
            raise DocumentError(f"Typst: {'; '.join(unknown)}")
        return out

    def docx(self) -> Path:
        """A Word file on A4 with its formulas as formulas."""
        reference, out = self._folder / "reference.docx", self._folder / "report.docx"
        write_reference(reference)
        self._pandoc("docx", out, self._metadata(), ("--reference-doc", str(reference)))
        return out

    def _pandoc(self, writer: str, out: Path, metadata: Mapping[str, Any], options: Sequence[str]) -> None:
        (self._folder / "metadata.json").write_text(json.dumps(metadata, ensure_ascii=False), encoding="utf-8")
        command = [
            *(pypandoc.get_pandoc_path(), "report.md", "--from", _READER, "--to", writer, "--output", out.name),
            *("--standalone", "--toc-depth=2", "--number-sections", "--wrap=none"),
            # Far wider than any row: pandoc would otherwise give long tables columns of equal width.
            *("--columns=100000", "--metadata-file=metadata.json", "--resource-path=."),
            *("--lua-filter", str(self._styles / "documents.lua"), *options),
        ]
        done = subprocess.run(
            command, cwd=self._folder, env={**os.environ, **_EPOCH}, capture_output=True, text=True, check=False
        )
        # Pandoc has no words of its own for zh-TW, and none of them is used here.
        complaints = [line for line in done.stderr.splitlines() if "translation" not in line and line.strip()]
        if done.returncode or any("[WARNING]" in line for line in complaints):
            raise DocumentError(f"pandoc ({writer}): {' '.join(complaints)}")

    def _metadata(self) -> dict[str, Any]:
        return {
            "title": self._front.title,
            "subtitle": self._front.subtitle,
            "lang": self._language.tag,
            "toc-title": self._language("document.contents"),
        }

    def _links(self) -> dict[str, Any]:
        stem, own = self._front.file_stem, self._language.tag
        return {
            "index-label": self._language("document.index"),
            "other": [
                {"href": f"{stem}.{tag}.html", "lang": tag, "label": self._language("document.other_language")}
                for tag in self._front.languages
                if tag != own
            ],
            "format": [{"href": f"{stem}.{own}.{kind}", "label": kind.upper()} for kind in ("pdf", "docx")],
        }

    def _type(self) -> dict[str, Any]:
        if not self._language.is_chinese:
            latin = {"mainfont": ["Libertinus Serif"], "fontsize": "10.5pt", "leading": "0.68em", "spacing": "1.15em"}
            return {
                **latin,
                "hasbold": True,
                "mathfont": ["New Computer Modern Math"],
                "codefont": ["DejaVu Sans Mono"],
            }
        family = chinese_face().family
        return {
            "mainfont": [family, "Libertinus Serif"],
            "mathfont": ["New Computer Modern Math", family],
            "codefont": ["DejaVu Sans Mono", family],
            "fontsize": "9.8pt",
            "leading": "0.82em",
            "spacing": "1.3em",
        }


def _displayed(executed: nbformat.NotebookNode) -> str:
    """The Markdown that the cells displayed, without their code."""
    exporter = MarkdownExporter()
    exporter.exclude_input = True
    exporter.exclude_output_prompt = True
    return str(exporter.from_notebook_node(executed)[0])


def _check_glyphs(markdown: str) -> None:
    """Refuse a text with a character that the Chinese face lacks; code and formulas have faces of their own."""
    prose = re.sub(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$", "", markdown, flags=re.DOTALL)
    if missing := missing_characters(prose, chinese_face()):
        raise DocumentError(f"no glyph for {' '.join(missing)} in {chinese_face().family}; use other characters")


def _font_folders(language: Language) -> list[str]:
    try:
        return [str(chinese_face().path.parent)]
    except MissingFontError:
        if language.is_chinese:
            raise
        return []


def _without_times(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what papermill and Jupyter say about when and where a notebook ran."""
    notebook.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
    return notebook
