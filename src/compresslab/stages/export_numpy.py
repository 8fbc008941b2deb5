"""Write a PyTorch network as a float network for the NumPy engine."""

from compresslab.stages.card import variant_card, write_card
from compresslab.stages.command import running, variant_parser


def main() -> None:
    """Write the network and its card."""
    stage = variant_parser(__doc__, model="NumPy network (.npz)", parent="trained model (.safetensors)")
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
