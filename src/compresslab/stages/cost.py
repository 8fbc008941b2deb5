"""Count what a variant costs: parameters, multiply-accumulates, bytes; per layer and in total."""

from importlib import import_module
from pathlib import Path

from compresslab.stages.command import add_variants, parser, running


def main() -> None:
    """Write the totals and the layers."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    add_variants(stage, "--model", "the variant", required=True)
    stage.add_argument("--out", type=Path, required=True, help="costs (.json)")
    with running(stage) as job:
        from compresslab.artifacts import write_json
        from compresslab.data.card import read_card

        counter = import_module(job.spec["counter"])
        costs = counter.count(job.options.model, read_card(job.options.data).image_shape)
        write_json(job.options.out, {"totals": costs.totals(), "layers": costs.layer_rows()})


if __name__ == "__main__":
    main()
