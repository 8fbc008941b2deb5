"""Turn a dataset's raw files into splits of uint8 images with labels, and write its data card."""

from pathlib import Path

from compresslab.stages.command import log, parser, running


def main() -> None:
    """Write the arrays and, beside them, the card."""
    stage = parser(__doc__)
    stage.add_argument("--raw", type=Path, help="list of the fetched files; embedded data need none")
    stage.add_argument("--out", type=Path, required=True, help="prepared dataset (.npz)")
    with running(stage) as job:
        from compresslab.data.prepare import prepare

        raw = job.options.raw.parent if job.options.raw else None
        card = prepare(job.spec["dataset"], job.spec["source"], raw, job.options.out)
        log.info("%s from %s: %s images", card.dataset, card.source, card.images)


if __name__ == "__main__":
    main()
