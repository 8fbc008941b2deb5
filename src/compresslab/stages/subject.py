"""A lab's slice of the configuration, as the stages that write reports read it."""

from collections.abc import Mapping
from typing import Any


def in_order(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The slice with its variants in the order of the configuration, which canonical JSON has sorted away."""
    subject = {name: value for name, value in spec.items() if name != "order"}
    names = [variant_id.partition("/") for variant_id in spec["order"]]
    subject["models"] = {
        model: {**described, "variants": {name: described["variants"][name] for of, _, name in names if of == model}}
        for model, described in spec["models"].items()
    }
    return subject
