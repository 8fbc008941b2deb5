"""Write a PyTorch network as a float network for the NumPy engine."""

from pathlib import Path

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import parser, running


def main() -> None:
    """Write the network and its card."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    stage.add_argument("--parent", type=Path, required=True, help="trained model (.safetensors)")
    stage.add_argument("--model", type=Path, required=True, help="NumPy network (.npz)")
    stage.add_argument("--card", type=Path, required=True, help="the variant's card (.json)")
    with running(stage) as job:
        from compresslab.export.numpy_network import to_network
        from compresslab.models.numpy import network
        from compresslab.models.torch import artifact

        options = job.options
        trained = artifact.load(options.parent)
        exported = to_network(trained.module, trained.preprocessing, trained.classes, trained.image_shape)
        network.save(exported, options.model)
        write_card(options.card, variant_card(job, options.data, options.model, options.parent))


if __name__ == "__main__":
    main()
