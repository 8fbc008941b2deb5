"""Let a variant answer the test split as it is, and again after JPEG at several qualities."""

from pathlib import Path

from compresslab.stages.command import add_variants, log, parser, running


def main() -> None:
    """Write the answers of every codec, with what the codec did to the images."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    add_variants(stage, "--model", "the variant", required=True)
    stage.add_argument("--out", type=Path, required=True, help="answers by codec (.npz)")
    with running(stage) as job:
        from compresslab.data.codec import original, through_jpeg
        from compresslab.data.prepared import read_split
        from compresslab.data.progress import progress_bar
        from compresslab.engines.contract import open_engine
        from compresslab.measure.predictions import Predictions
        from compresslab.measure.reencoded import Answered, codec_name, write_answers

        options, qualities = job.options, job.spec["qualities"]
        test = read_split(options.data, "test", job.spec["test_images"])
        engine = open_engine(job.spec["engine"], options.model, options.threads)
        answers = {}
        with progress_bar("answering re-encoded images", len(qualities) + 1, "codec") as bar:
            for quality in (None, *qualities):
                seen = original(test.images) if quality is None else through_jpeg(test.images, quality)
                predictions = Predictions(engine.predict(seen.images), test.labels, test.indices)
                answers[codec_name(quality)] = Answered(predictions, seen.bytes_per_image, seen.pixel_error_percent)
                bar.update()
        write_answers(options.out, answers)
        log.info("%d images answered by %s in %d codecs", len(test.labels), job.spec["engine"], len(answers))


if __name__ == "__main__":
    main()
