"""Bring a dataset's published files here, from their public address or from a mirror, and check their content."""

from pathlib import Path

from compresslab.stages.command import parser, running


def main() -> None:
    """Write the raw files beside `--out`, the list of what was fetched."""
    stage = parser(__doc__)
    stage.add_argument("--out", type=Path, required=True, help="list of the fetched files (JSON); they lie beside it")
    with running(stage) as job:
        from compresslab.data.fetch import fetch

        mirror = job.spec["mirror"]
        fetch(job.spec["dataset"], job.spec["source"], job.options.out.parent, Path(mirror) if mirror else None)


if __name__ == "__main__":
    main()
