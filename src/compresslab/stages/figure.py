"""Draw one figure of a lab, in every language of the run."""

from pathlib import Path

from compresslab.stages.command import Job, log, parser, running


def main() -> None:
    """Write the figure as SVG and PNG; one with nothing to show is written empty, and the report says so."""
    stage = parser(__doc__)
    stage.add_argument("--tables", type=Path, required=True, help="folder of the lab's tables")
    stage.add_argument(
        "--data", type=Path, required=True, help="the lab's first prepared dataset (.npz), for figures of images"
    )
    stage.add_argument("--networks", nargs="*", default=[], metavar="NAME=FILE", help="NumPy networks of variants")
    stage.add_argument("--predictions", nargs="*", default=[], metavar="NAME=FILE", help="predictions of variants")
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


def _material(job: Job):  # type: ignore[no-untyped-def]
    from compresslab.data.prepared import read_split
    from compresslab.data.views import read_views
    from compresslab.measure.predictions import read_predictions
    from compresslab.models.numpy.network import load
    from compresslab.report.figures.material import Answers, Material
    from compresslab.report.figures.registry import kinds_of, tables_of
    from compresslab.tables.collect import read_table

    options, name = job.options, job.spec["figure"]
    test = read_split(options.data, "test") if "images" in kinds_of(name) else None
    predictions = {key: read_predictions(path) for key, path in _named(options.predictions)}
    return Material(
        tables={table: read_table(options.tables / f"{table}.csv") for table in tables_of(name)},
        networks={key: load(path) for key, path in _named(options.networks)},
        predictions={key: Answers(found.logits, found.labels, found.indices) for key, found in predictions.items()},
        images=test.images if test else None,
        origins=test.origins if test else None,
        views={key: read_views(path) for key, path in _named(options.views)},
        variants=tuple(job.spec["variants"]),
        roots=tuple(job.spec["roots"]),
        baseline=job.spec["baseline"],
    )


def _named(pairs: list[str]) -> list[tuple[str, Path]]:
    return [(name, Path(path)) for name, _, path in (pair.partition("=") for pair in pairs)]


if __name__ == "__main__":
    main()
