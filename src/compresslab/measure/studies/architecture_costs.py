"""What do architectures cost? Every layer three times: by formula, by our counter, and by torchinfo.

The networks have shapes and no values, so nothing is computed, and the largest one takes no memory.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compresslab.config.studies.architecture_costs import Settings
from compresslab.measure import cost_torch, cost_torchinfo, formula
from compresslab.measure.cost import ImageShape
from compresslab.measure.in_turns import Effort
from compresslab.models.torch.artifact import build
from compresslab.models.torch.layers import NO_LAYER


def study(settings: Settings, models: Mapping[str, Path], effort: Effort) -> Iterator[Mapping[str, Any]]:
    """Yield one row of ``architecture_costs.csv`` per architecture and layer, without lab and host."""
    del models, effort
    for name, chosen in settings.architectures.items():
        with torch.device("meta"):
            network = build(name, chosen.image_shape, chosen.classes, **chosen.arguments)
        for row in layer_rows(network, chosen.image_shape):
            yield {"architecture": name, **row}


def layer_rows(network: nn.Module, image_shape: ImageShape) -> Iterator[Mapping[str, Any]]:
    """Yield the counts of every layer in the order of execution; reshaping and dropout are no layers.

    Raises ValueError for a module that has no formula.
    """
    counted = {layer.layer: layer for layer in cost_torch.count_layers(network, image_shape).costs}
    in_library = cost_torchinfo.count_layers(network, image_shape)
    for layer in formula.count_layers(network, image_shape):
        if isinstance(network.get_submodule(layer.layer), NO_LAYER):
            continue
        counter, (parameters, macs) = counted[layer.layer], in_library[layer.layer]
        yield {
            "layer": layer.layer,
            "operator": layer.operator,
            "output_shape": "x".join(map(str, layer.output_shape)),
            "weighted": layer.parameters > 0,
            "parameters_by_formula": layer.parameters,
            "parameters_by_counter": counter.parameters,
            "parameters_by_library": parameters,
            "macs_by_formula": layer.macs,
            "macs_by_counter": counter.macs,
            "macs_by_library": macs,
            "weight_bytes": counter.weight_bytes,
            "activation_bytes": counter.activation_bytes,
        }
