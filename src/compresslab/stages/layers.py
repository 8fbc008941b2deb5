"""Hold a variant against its reference, layer by layer, on the same training images."""

from pathlib import Path

from compresslab.stages.command import add_variants, parser, running

CHUNK = 64
"""Images that are traced at once, if they are small."""

CHUNK_PIXELS = CHUNK * 32 * 32
"""Pixels that are traced at once: all layers of a U-Net, of both sides, take 2 GB for a single street scene."""


def main() -> None:
    """Write the error of every layer."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    add_variants(stage, "--model", "the variant", required=True)
    add_variants(stage, "--reference", "what it is held against", required=True)
    stage.add_argument("--out", type=Path, required=True, help="error per layer (.csv)")
    with running(stage) as job:
        from compresslab.artifacts import write_text
        from compresslab.data.prepared import calibration_images
        from compresslab.engines.contract import open_engine
        from compresslab.measure.layers import layer_errors

        options, spec = job.options, job.spec
        images = calibration_images(options.data, spec["images"]).images
        variant = open_engine(spec["engine"], options.model, options.threads)
        reference = open_engine(spec["reference_engine"], options.reference, options.threads)
        chunk = min(CHUNK, max(1, CHUNK_PIXELS // (images.shape[1] * images.shape[2])))
        chunks = (images[start : start + chunk] for start in range(0, len(images), chunk))
        errors = layer_errors((reference.trace(chunk), variant.trace(chunk)) for chunk in chunks)
        errors.insert(0, "reference", spec["reference"])
        write_text(options.out, errors.to_csv(index=False, lineterminator="\n", float_format="%.10g"))


if __name__ == "__main__":
    main()
