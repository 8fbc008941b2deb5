"""A lab's slice of the configuration, as the stages that write reports read it."""

from collections.abc import Mapping
from typing import Any


def in_order(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The slice with models and variants in the order of the configuration, which canonical JSON has sorted away."""
    subject = {name: value for name, value in spec.items() if name != "order"}
    names = [variant_id.partition("/") for variant_id in spec["order"]]
    subject["models"] = {}
    for model in dict.fromkeys(of for of, _, _ in names):
        described = spec["models"][model]
        own = {name: described["variants"][name] for of, _, name in names if of == model}
        subject["models"][model] = {**described, "variants": own}
    return subject
