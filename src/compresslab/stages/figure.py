"""Draw one figure of a lab, in every language of the run."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from compresslab.stages.command import Job, log, parser, running

Content = TypeVar("Content")


def main() -> None:
    """Write the figure as SVG and PNG; one with nothing to show is written empty, and the report says so."""
    stage = parser(__doc__)
    stage.add_argument("--tables", type=Path, required=True, help="folder of the lab's tables")
    stage.add_argument(
        "--data", type=Path, required=True, help="the lab's first prepared dataset (.npz), for figures of images"
    )
    stage.add_argument("--networks", nargs="*", default=[], metavar="NAME=FILE", help="NumPy networks of variants")
    stage.add_argument("--predictions", nargs="*", default=[], metavar="NAME=FILE", help="answers of variants")
    stage.add_argument(
        "--views", nargs="*", default=[], metavar="NAME=FILE", help="views that variants were trained on"
    )
    stage.add_argument("--sources", type=Path, default=Path("report"), help="report sources (default: %(default)s)")
    stage.add_argument("--out", type=Path, required=True, help="folder of the lab's figures; one folder per language")
    with running(stage) as job:
        from compresslab.report.figures.registry import draw_and_save
        from compresslab.report.languages import language

        name, material = job.spec["figure"], _material(job)
        for tag in job.spec["languages"]:
            folder = job.options.out / tag
            folder.mkdir(parents=True, exist_ok=True)
            shown = draw_and_save(
                name, material, language(tag, job.options.sources), folder / f"{name}.svg", folder / f"{name}.png"
            )
            log.info("%s in %s: %s", name, tag, "drawn" if shown else "nothing to show")


class Unread(Mapping[str, Content], Generic[Content]):
    """Files by name, each read when it is asked for: the answers per pixel of a whole lab fill a memory."""

    def __init__(self, files: dict[str, Path], read: Callable[[Path], Content]) -> None:
        self._files, self._read = files, read

    def __getitem__(self, name: str) -> Content:
        return self._read(self._files[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _material(job: Job):  # type: ignore[no-untyped-def]
    from compresslab.data.prepared import read_split
    from compresslab.data.views import read_views
    from compresslab.models.numpy.network import load
    from compresslab.report.figures.material import Material
    from compresslab.report.figures.registry import kinds_of, tables_of
    from compresslab.tables.collect import read_table

    options, name = job.options, job.spec["figure"]
    test = read_split(options.data, "test") if "images" in kinds_of(name) else None
    answers = dict(_named(options.predictions))
    return Material(
        tables={table: read_table(options.tables / f"{table}.csv") for table in tables_of(name)},
        networks={key: load(path) for key, path in _named(options.networks)},
        predictions={key: _answers(path) for key, path in answers.items() if "predictions" in kinds_of(name)},
        maps=Unread(answers if "label_maps" in kinds_of(name) else {}, _pixel_answers),
        images=test.images if test else None,
        origins=test.origins if test else None,
        views={key: read_views(path) for key, path in _named(options.views)},
        variants=tuple(job.spec["variants"]),
        roots=tuple(job.spec["roots"]),
        baseline=job.spec["baseline"],
        arithmetic=job.spec["arithmetic"],
    )


def _answers(path: Path):  # type: ignore[no-untyped-def]
    from compresslab.measure.predictions import read_predictions
    from compresslab.report.figures.material import Answers

    found = read_predictions(path)
    return Answers(found.logits, found.labels, found.indices)


def _pixel_answers(path: Path):  # type: ignore[no-untyped-def]
    from compresslab.measure.label_maps import read_label_maps
    from compresslab.report.figures.material import PixelAnswers

    found = read_label_maps(path)
    return PixelAnswers(found.answers, found.labels, found.indices)


def _named(pairs: list[str]) -> list[tuple[str, Path]]:
    return [(name, Path(path)) for name, _, path in (pair.partition("=") for pair in pairs)]


if __name__ == "__main__":
    main()
