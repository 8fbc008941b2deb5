"""Write the first page of a run: every lab with its documents, and what to know before reading them."""

from pathlib import Path

from compresslab.stages.command import Job, parser, running
from compresslab.stages.subject import in_order


def main() -> None:
    """Write the page beside the documents."""
    stage = parser(__doc__)
    stage.add_argument("--run", type=Path, required=True, help="folder of the run, `results/<run>`")
    stage.add_argument("--data", type=Path, required=True, help="folder of the prepared datasets")
    stage.add_argument("--sources", type=Path, default=Path("report"), help="report sources (default: %(default)s)")
    stage.add_argument("--out", type=Path, required=True, help="the page (.html)")
    with running(stage) as job:
        _write(job)


def _write(job: Job) -> None:
    from compresslab.report.evidence import Subject, read_evidence
    from compresslab.report.index import write_index
    from compresslab.report.languages import language

    options = job.options
    labs = []
    for spec in job.spec["labs"]:
        subject = Subject.from_json(in_order(spec))
        hosts = {host: options.run / f"benchmarks/{host}/{subject.lab}.host.json" for host in job.spec["hosts"]}
        cards = [options.data / f"{dataset}.json" for dataset in subject.datasets]
        labs.append(read_evidence(subject, options.run / "tables" / subject.lab, cards, hosts))
    write_index(
        options.out, labs, [language(tag, options.sources) for tag in labs[0].subject.languages], options.sources
    )


if __name__ == "__main__":
    main()
