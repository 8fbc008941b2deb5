"""Make other views of a few training images, as a variant's augmentation shows them to its training."""

from pathlib import Path

from compresslab.stages.command import parser, running


def main() -> None:
    """Write the first training image of every class, or of some classes, and several views of each."""
    stage = parser(__doc__)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    stage.add_argument("--out", type=Path, required=True, help="images and their views (.npz)")
    with running(stage) as job:
        import numpy as np

        from compresslab.config.training import Elastic
        from compresslab.data.prepared import read_split
        from compresslab.data.views import Views, write_views
        from compresslab.train.torch.views import elastic_views

        spec, train = job.spec, read_split(job.options.data, "train")
        _, firsts = np.unique(train.labels, return_index=True)
        chosen = firsts[: spec["images"]]
        images = train.images[chosen]
        elastic = Elastic.model_validate(spec["elastic"])
        views, displacement_px = elastic_views(images, elastic, spec["views"], spec["seed"])
        write_views(job.options.out, Views(images, train.labels[chosen], views, displacement_px))


if __name__ == "__main__":
    main()
