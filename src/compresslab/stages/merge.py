"""Put the tables of all labs together into the tables of the run."""

from pathlib import Path

from compresslab.stages.command import parser, running


def main() -> None:
    """Write one table of each kind, over all labs."""
    stage = parser(__doc__)
    stage.add_argument("--labs", type=Path, nargs="+", required=True, help="folders of the labs' tables")
    stage.add_argument("--out", type=Path, required=True, help="folder of the run's tables")
    with running(stage) as job:
        from compresslab.tables.collect import merge_labs

        merge_labs(job.options.labs, job.options.out)


if __name__ == "__main__":
    main()
