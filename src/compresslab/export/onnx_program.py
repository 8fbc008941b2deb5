"""What PyTorch's exporter makes, as this house wants it: named after its modules, without a trace of the machine."""

import ast
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def name_after_modules(model: Any) -> dict[str, str]:
    """Name nodes and tensors of an onnx_ir model after the PyTorch modules they come from.

    A module's last node and its output take the module's name; the ones before it, where an operator is made of
    several, take ``module/operator_number``. The graph's output keeps its own. Returns the output tensor by module.
    """
    nodes_of: dict[str, list[Any]] = {}
    for node in model.graph:
        nodes_of.setdefault(_module_of(node), []).append(node)
    outputs = set(model.graph.outputs)
    tensors = {}
    for module, nodes in nodes_of.items():
        names = [f"{module}/{node.op_type}_{number}" for number, node in enumerate(nodes[:-1], 1)] + [module]
        for name, node in zip(names, nodes, strict=True):
            node.name = name
            if node.outputs[0] not in outputs:
                node.outputs[0].name = name
        tensors[module] = nodes[-1].outputs[0].name
    return tensors


def _module_of(node: Any) -> str:
    """Return the path of the module that a node comes from, or the node's own name where that is the whole network.

    The exporter keeps it as ``['', 'block', 'block.conv', 'conv2d_1']``: the modules from the outside in, then the
    operation.
    """
    scopes: list[str] = ast.literal_eval(node.metadata_props.get("pkg.torch.onnx.name_scopes", "['', '']"))
    return scopes[-2] or str(node.name)


def pool_globally(model: Any) -> None:
    """Write means over height and width as what they are; runtimes quantize and lay out GlobalAveragePool only."""
    for node in model.graph:
        if node.op_type != "ReduceMean" or len(node.inputs) != 2 or node.inputs[1].const_value is None:
            continue
        axes = node.inputs[1]
        rank = len(node.inputs[0].shape)
        keeps_rank = node.attributes.get_int("keepdims", 1) == 1
        if keeps_rank and rank == 4 and {axis % rank for axis in axes.const_value.numpy().ravel().tolist()} == {2, 3}:
            node.resize_inputs(1)
            node.attributes.clear()
            node.op_type = "GlobalAveragePool"
            if not axes.uses():
                model.graph.initializers.pop(axes.name, None)


def forget_the_place(model: Any) -> None:
    """Remove stack traces and documentation, which hold the paths of this machine."""
    model.metadata_props.clear()
    model.doc_string = None
    model.graph.metadata_props.clear()
    model.graph.doc_string = None
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
        for value in node.outputs:
            value.metadata_props.clear()
            value.doc_string = None
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
        value.doc_string = None


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the exporter's notes about absent packages and its own deprecations out of the log."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
