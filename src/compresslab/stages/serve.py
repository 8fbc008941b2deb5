"""Show a run's models on a web page: give them a picture, and see a float and a quantized network answer side by side.

The page is served on this machine only, asks nothing of the internet, and ends with Ctrl-C. It needs no training
framework: what ONNX Runtime, LiteRT or NumPy run is shown.
"""

import sys
from pathlib import Path

from compresslab.stages.command import Job, parser, running

RESULTS = Path("results")


def main() -> None:
    """Serve the page until somebody ends it."""
    stage = parser(__doc__)
    stage.add_argument(
        "--run",
        type=Path,
        help="folder of the run or its name below results/ (default: full, else quick, else smoke, whichever there is)",
    )
    stage.add_argument(
        "--data",
        type=Path,
        default=Path("data/prepared"),
        help="folder of the prepared datasets (default: %(default)s)",
    )
    stage.add_argument("--sources", type=Path, default=Path("report"), help="report sources (default: %(default)s)")
    stage.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default: %(default)s, this machine only; 0.0.0.0 lets the network in)",
    )
    stage.add_argument("--port", type=int, help="port to listen at (default: the first free one from 7860 on)")
    stage.add_argument(
        "--share",
        action="store_true",
        help="also open a public address through Gradio's servers: needs the internet, and whoever knows the address "
        "can use the page, and its pictures go through those servers",
    )
    with running(stage) as job:
        from compresslab.demo.results import ResultsError
        from compresslab.demo.server import PortError

        try:
            _serve(job)
        except (ResultsError, PortError) as error:
            # Nothing is broken, so a person gets the line alone; a log keeps what every log has.
            if job.options.log is None:
                sys.exit(f"error: {error}")
            raise


def _serve(job: Job) -> None:
    from compresslab.demo.results import newest_run, read_run
    from compresslab.demo.server import serve

    options = job.options
    folder = _folder(options.run) if options.run else newest_run(RESULTS)
    run = read_run(folder, options.data, job.spec.get("scale"))
    serve(run, options.sources, options.host, options.port, options.share)


def _folder(run: Path) -> Path:
    """A folder as it is, or the run of that name."""
    return run if run.is_dir() or len(run.parts) > 1 else RESULTS / run


if __name__ == "__main__":
    main()
