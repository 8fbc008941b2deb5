"""Measure a question of its own on one variant, alone on this machine: each study is a module found by its name."""

from importlib import import_module
from pathlib import Path

from compresslab.stages.command import log, parser, running


def main() -> None:
    """Write the study's table."""
    stage = parser(__doc__)
    stage.add_argument("--model", type=Path, required=True, help="the variant that is studied")
    stage.add_argument("--out", type=Path, required=True, help="the study's table (.csv)")
    with running(stage) as job:
        import pandas as pd

        from compresslab.artifacts import write_text
        from compresslab.config.inventory import study_module

        options, spec = job.options, job.spec
        module = import_module(study_module(spec["study"]))
        identity = {name: spec[name] for name in ("lab", "host", "model", "variant")}
        rows = [identity | row for row in module.study(options.model, module.Effort(**spec["effort"]))]
        write_text(options.out, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
        log.info("%d rows", len(rows))


if __name__ == "__main__":
    main()
