"""One LiteRT interpreter for one batch size, with XNNPACK, which the runtime applies by itself."""

from collections.abc import Sequence

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from compresslab.models.litert.artifact import LiteRTModel, with_outputs
from compresslab.models.quiet import quiet


class Runner:
    """A model with its memory laid out for ``batch`` images; ``outputs`` are numbers of tensors, or its own output."""

    def __init__(self, model: LiteRTModel, batch: int, threads: int, outputs: Sequence[int] = ()) -> None:
        content = with_outputs(model.flatbuffer, outputs) if outputs else model.flatbuffer
        # The runtime tells every user that it made its delegate.
        with quiet():
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            (described,) = self._interpreter.get_input_details()
            self._input = described["index"]
            self._interpreter.resize_tensor_input(self._input, [batch, *described["shape"][1:]])
            self._interpreter.allocate_tensors()
        self._outputs = [output["index"] for output in self._interpreter.get_output_details()]

    def run(self, native: np.ndarray) -> list[np.ndarray]:
        """Return the outputs for a batch in the input's own type."""
        self._interpreter.set_tensor(self._input, native)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(output) for output in self._outputs]


def native_input(model: LiteRTModel, images: np.ndarray) -> np.ndarray:
    """Turn uint8 images (N, H, W, C) into what the model takes: normalized float32, or that quantized to int8."""
    values = model.description.preprocessing.normalize(images)
    tensor = model.graph.tensors[model.graph.inputs[0]]
    if not len(tensor.scales):
        return values
    limits = np.iinfo(tensor.dtype)
    rounded = np.rint(values / tensor.scales[0]) + tensor.zero_points[0]
    return np.clip(rounded, limits.min, limits.max).astype(tensor.dtype)


def logits(model: LiteRTModel, values: np.ndarray) -> np.ndarray:
    """Return the model's output (N, classes) as float32 logits."""
    return values if values.dtype == np.float32 else model.graph.tensors[model.graph.outputs[0]].dequantized(values)
