"""Measure a question of its own, alone on this machine: each study is a module found by its name."""

import gc
from importlib import import_module
from pathlib import Path

from compresslab.stages.command import add_variants, log, parser, running


def main() -> None:
    """Write the study's table."""
    stage = parser(__doc__)
    add_variants(stage, "--models", "the variants that are studied, in the order of the slice", nargs="*", default=[])
    stage.add_argument("--out", type=Path, required=True, help="the study's table (.csv)")
    with running(stage) as job:
        import pandas as pd

        from compresslab.artifacts import write_text
        from compresslab.config.inventory import study_module
        from compresslab.measure.in_turns import Effort

        options, spec = job.options, job.spec
        module = import_module(study_module(spec["study"]))
        settings = module.Settings.model_validate(spec["settings"])
        models = dict(zip(settings.variants, options.models, strict=True))
        identity = {name: spec[name] for name in ("lab", "host")}
        # A framework's many objects stay: the collector, which runs before everything that is timed, leaves them alone.
        gc.freeze()
        rows = [identity | row for row in module.study(settings, models, Effort(**spec["effort"]))]
        write_text(options.out, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
        log.info("%d rows", len(rows))


if __name__ == "__main__":
    main()
