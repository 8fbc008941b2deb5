"""Let a variant answer the test split: the only stage that sees its images together with their labels."""

from pathlib import Path

from compresslab.stages.command import add_variants, log, parser, running


def main() -> None:
    """Write logits, labels and positions in the test split."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    add_variants(stage, "--model", "the variant", required=True)
    stage.add_argument("--out", type=Path, required=True, help="predictions (.npz)")
    with running(stage) as job:
        from compresslab.data.prepared import read_split
        from compresslab.engines.contract import open_engine
        from compresslab.measure.predictions import Predictions, write_predictions

        options = job.options
        test = read_split(options.data, "test", job.spec["test_images"])
        engine = open_engine(job.spec["engine"], options.model, options.threads)
        predictions = Predictions(engine.predict(test.images), test.labels, test.indices)
        write_predictions(options.out, predictions)
        log.info("%d images answered by %s", len(test.labels), job.spec["engine"])


if __name__ == "__main__":
    main()
