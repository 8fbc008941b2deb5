"""Where a quantized network departs from its float parent: the error of every named layer.

Both networks are traced on the same images. Traces of a whole split do not fit in memory, so the sums are
carried over chunks.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

Trace = Mapping[str, np.ndarray]


@dataclass
class _LayerSums:
    signal: float = 0.0
    error: float = 0.0
    max_abs_difference: float = 0.0

    def add(self, reference: np.ndarray, output: np.ndarray) -> None:
        expected = reference.astype(np.float64)
        difference = output.astype(np.float64) - expected
        self.signal += float(np.square(expected).sum())
        self.error += float(np.square(difference).sum())
        self.max_abs_difference = max(self.max_abs_difference, float(np.abs(difference).max(initial=0.0)))

    @property
    def relative_l2_percent(self) -> float:
        if self.error == 0:
            return 0.0
        return 100 * math.sqrt(self.error / self.signal) if self.signal else math.inf

    @property
    def signal_to_noise_db(self) -> float:
        if self.error == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.error) if self.signal else -math.inf


def layer_errors(chunks: Iterable[tuple[Trace, Trace]]) -> pd.DataFrame:
    """Error per layer over chunks of images; each chunk is (trace of the reference, trace of the variant).

    Traces map a layer's name to its float32 output. Columns: layer, relative_l2_percent (norm of the difference
    over norm of the reference), max_abs_difference (in the units of the activation), signal_to_noise_db
    (10 log10 of the ratio of the energies; infinite where the outputs are equal). Rows are in the reference's order.
    Layers that do not pair up, other shapes, or no chunk at all are a ValueError.
    """
    sums: dict[str, _LayerSums] = {}
    for reference, variant in chunks:
        unpaired = set(reference) ^ set(variant)
        if unpaired:
            raise ValueError(f"the two traces do not have the same layers: {', '.join(sorted(unpaired))}")
        for layer, expected in reference.items():
            if expected.shape != variant[layer].shape:
                raise ValueError(
                    f"layer {layer} has shape {expected.shape} in one trace, {variant[layer].shape} in the other"
                )
            sums.setdefault(layer, _LayerSums()).add(expected, variant[layer])
    if not sums:
        raise ValueError("no images were traced, so there is no error per layer")
    return pd.DataFrame(
        {
            "layer": list(sums),
            "relative_l2_percent": [total.relative_l2_percent for total in sums.values()],
            "max_abs_difference": [total.max_abs_difference for total in sums.values()],
            "signal_to_noise_db": [total.signal_to_noise_db for total in sums.values()],
        }
    )
