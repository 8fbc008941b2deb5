"""Let a variant answer the test split pixel by pixel: `predict` for networks that give a class for every pixel."""

from pathlib import Path
from typing import TYPE_CHECKING

from compresslab.stages.command import add_variants, log, parser, running

if TYPE_CHECKING:
    import numpy as np

    from compresslab.engines.contract import Engine

CHUNK_PIXELS = 2**18
"""Pixels that a network sees at once, two street scenes: the 64 maps of a U-Net's first layer then take 67 MB each."""


def main() -> None:
    """Write the answers, the labels and the positions in the test split."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    add_variants(stage, "--model", "the variant", required=True)
    stage.add_argument("--out", type=Path, required=True, help="answers per pixel (.npz)")
    with running(stage) as job:
        from compresslab.data.prepared import read_split
        from compresslab.engines.contract import open_engine
        from compresslab.measure.label_maps import LabelMaps, write_label_maps

        options = job.options
        test = read_split(options.data, "test", job.spec["test_images"])
        engine = open_engine(job.spec["engine"], options.model, options.threads)
        try:
            answers = answers_per_pixel(engine, test.images)
        except ValueError as error:
            raise ValueError(f"{options.model}, run by {job.spec['engine']}: {error}") from error
        write_label_maps(options.out, LabelMaps(answers, test.labels, test.indices))
        log.info("%d images answered pixel by pixel by %s", len(test.labels), job.spec["engine"])


def answers_per_pixel(engine: "Engine", images: "np.ndarray") -> "np.ndarray":
    """Return the class of every pixel, uint8 (N, H, W), of uint8 images (N, H, W, C); the first of equal logits wins.

    A few images are answered at a time, so that the logits of the others never exist. Raises ValueError when the
    engine answers with something else than finite logits for every pixel.
    """
    import numpy as np

    from compresslab.data.progress import progress_bar

    count, height, width = images.shape[:3]
    answers = np.empty((count, height, width), np.uint8)
    chunk = max(1, CHUNK_PIXELS // (height * width))
    with progress_bar("segmenting", count, " images") as bar:
        for start in range(0, count, chunk):
            seen = images[start : start + chunk]
            logits = engine.predict(seen)
            if logits.ndim != 4 or (logits.shape[0], *logits.shape[2:]) != seen.shape[:3]:
                raise ValueError(
                    f"it answers {seen.shape[0]} images of {height} x {width} pixels with logits of shape "
                    f"{logits.shape}, not with a class for every pixel; choose an architecture that segments"
                )
            if not np.isfinite(logits).all():
                raise ValueError("its logits contain values that are not finite; look at its training")
            answers[start : start + chunk] = logits.argmax(axis=1)
            bar.update(len(seen))
    return answers


if __name__ == "__main__":
    main()
