"""Make the golden networks and logits anew: only after a deliberate change of the arithmetic or of the container.

`python tests/golden/make.py` quantizes a seeded gapcnn and stores two integer networks, images, and the int8 logits of
the strict engine. The tests never quantize: they read these files, so they hold on machines whose `exp` differs.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from compresslab.arrays import write_arrays
from compresslab.compress.quantize_numpy import quantize
from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.numpy_integer_strict import IntegerStrictEngine
from compresslab.models.numpy.network import Layer, Network, save

FOLDER = Path(__file__).parent
VARIANTS = {"lut-channel": ("lut", "channel"), "pwl-tensor": ("pwl", "tensor")}


def gapcnn(generator: np.random.Generator) -> Network:
    """Return gapcnn with seeded weights, large enough to drive the curves through their bends."""

    def weighted(*shape: int) -> dict[str, np.ndarray]:
        weight = generator.normal(0, (3 / np.prod(shape[:-1])) ** 0.5, shape).astype(np.float32)
        return {"weight": weight, "bias": generator.normal(0, 0.3, shape[-1]).astype(np.float32)}

    layers = (
        Layer("conv1", "conv2d", "relu", padding=1, arrays=weighted(3, 3, 1, 8)),
        Layer("conv2", "conv2d", "selu", padding=1, arrays=weighted(3, 3, 8, 16)),
        Layer("pool2", "max_pool", size=2, stride=2),
        Layer("conv3", "conv2d", "gelu", padding=1, arrays=weighted(3, 3, 16, 32)),
        Layer("gap", "global_average_pool"),
        Layer("linear", "linear", arrays=weighted(32, 10)),
    )
    preprocessing = Preprocessing((0.1307,), (0.3081,))
    return Network("float", (28, 28, 1), preprocessing, tuple("0123456789"), layers)


def strokes(generator: np.random.Generator, count: int) -> np.ndarray:
    """Return uint8 images (count,28,28,1) of bright lines on black, a digit's kind of contrast."""
    rows, columns = np.mgrid[:28, :28]
    images = np.zeros((count, 28, 28, 1), np.uint8)
    for image in images:
        for _ in range(3):
            angle, offset = generator.uniform(0, np.pi), generator.uniform(-7, 7)
            distance = np.abs((rows - 13.5) * np.cos(angle) + (columns - 13.5) * np.sin(angle) - offset)
            image[..., 0] = np.maximum(image[..., 0], np.clip(255 * (2.2 - distance), 0, 255))
        image[[0, 1, 26, 27]] = 0
    return images


def main() -> None:
    """Write the golden files."""
    generator = np.random.default_rng(20240229)
    network, images = gapcnn(generator), strokes(generator, 24)
    golden = {"images": images}
    for name, (activations, granularity) in VARIANTS.items():
        parameters = SimpleNamespace(
            arithmetic="integer",
            activations=activations,
            granularity=granularity,
            segments=16,
            calibration=SimpleNamespace(ranges="minmax", percentile=99.99),
        )
        quantized = quantize(network, strokes(generator, 64), parameters)
        save(quantized, FOLDER / f"integer-{name}.npz")
        engine = IntegerStrictEngine(quantized)
        golden[name] = engine.integer_logits(engine.prepare(images))
    write_arrays(FOLDER / "logits.npz", golden, compress=True)


if __name__ == "__main__":
    main()
