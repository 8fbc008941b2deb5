"""Write a lab's report in one language: notebook, then HTML, PDF and DOCX, from tables and figures alone."""

from pathlib import Path

from compresslab.stages.command import Job, parser, running
from compresslab.stages.subject import in_order


def main() -> None:
    """Write the documents and the executed notebook."""
    stage = parser(__doc__)
    stage.add_argument("--language", required=True, help="language tag, such as zh-TW")
    stage.add_argument("--tables", type=Path, required=True, help="folder of the lab's tables")
    stage.add_argument("--cards", type=Path, nargs="+", required=True, help="data cards of the lab's datasets (.json)")
    stage.add_argument("--figures", type=Path, required=True, help="folder of the lab's figures in this language")
    stage.add_argument("--hosts", nargs="*", default=[], metavar="NAME=FILE", help="fingerprints of the hosts")
    stage.add_argument("--networks", nargs="*", default=[], metavar="NAME=FILE", help="NumPy networks of variants")
    stage.add_argument("--sources", type=Path, default=Path("report"), help="report sources (default: %(default)s)")
    stage.add_argument("--html", type=Path, required=True, help="page, self-contained")
    stage.add_argument("--pdf", type=Path, required=True, help="PDF, by Typst")
    stage.add_argument("--docx", type=Path, required=True, help="Word document")
    stage.add_argument("--notebook", type=Path, required=True, help="the executed notebook (.ipynb)")
    with running(stage) as job:
        _write(job)


def _write(job: Job) -> None:
    from compresslab.report.documents import Front, Outputs, render
    from compresslab.report.languages import language
    from compresslab.report.narrative import narrative_path

    options, subject = job.options, in_order(job.spec)
    words = language(options.language, options.sources)
    front = Front(
        title=words.among(subject["title"]) if subject["title"] else subject["lab"],
        subtitle=words(
            "document.subtitle",
            lab=subject["lab"],
            scale=words(f"scale.{subject['scale']}"),
            source=words(f"source.{subject['source']}"),
        ),
        file_stem=subject["lab"],
        languages=tuple(subject["languages"]),
    )
    parameters = {
        "subject": subject,
        "language": options.language,
        "narrative": str(narrative_path(subject["lab"], options.language, options.sources)),
        "tables": str(options.tables),
        "cards": [str(card) for card in options.cards],
        "figures": str(options.figures),
        "hosts": _named(options.hosts),
        "networks": _named(options.networks),
        "sources": str(options.sources),
    }
    outputs = Outputs(html=options.html, pdf=options.pdf, docx=options.docx, notebook=options.notebook)
    notebook = options.sources / "notebooks" / "lab.py"
    render(notebook, parameters, options.figures, front, words, outputs, options.sources)


def _named(pairs: list[str]) -> dict[str, str]:
    return {name: file for name, _, file in (pair.partition("=") for pair in pairs)}


if __name__ == "__main__":
    main()
