"""What all stages share: options, threads, the check of the code, and errors told in one line.

A stage is a command line over one function, so that a person can run it by hand with the line that
Snakemake's log shows. Frameworks are imported inside a stage's `main`, after the thread variables are set:
OpenMP and BLAS read them once, when they are loaded.
"""

import argparse
import errno
import logging
import re
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from compresslab.artifacts import write_text
from compresslab.engines.contract import set_threads
from compresslab.lineage import code
from compresslab.lineage.spec import heard
from compresslab.stages.intact import require_intact
from compresslab.stages.orphan import end_with_snakemake

log = logging.getLogger("compresslab")

MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024
"""Unit of `ru_maxrss`: bytes on macOS, KiB elsewhere."""

ADVICE = {
    errno.ENOSPC: "make room and run again",
    errno.EDQUOT: "make room and run again",
    errno.EROFS: "make it writable and run again",
}
"""What to do about an error of the file system."""


@dataclass(frozen=True)
class Job:
    """One call of a stage: its options, and its slice of the configuration."""

    options: argparse.Namespace
    spec: dict[str, Any]

    @property
    def provenance(self) -> dict[str, Any]:
        """What every card records of its making."""
        return {"spec": self.spec, "code": self.options.code}


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every stage has."""
    stage = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    stage.add_argument("--spec", type=heard, default={}, metavar="JSON", help="slice of the configuration")
    stage.add_argument("--code", metavar="STAMP", help="stamp of the code that the job was planned with")
    stage.add_argument("--threads", type=int, default=1, help="threads for the numerical libraries (default 1)")
    stage.add_argument("--log", type=Path, help="file for the log; the cause comes first when the stage fails")
    stage.set_defaults(variants=(), outlives_snakemake=False)
    return stage


def add_variants(stage: argparse.ArgumentParser, option: str, help_text: str, **more: Any) -> None:
    """Add an option that takes files of variants, which are checked against their cards before the stage works."""
    stage.add_argument(option, type=Path, help=help_text, **more)
    stage.set_defaults(variants=(*stage.get_default("variants"), option.removeprefix("--")))


def variant_parser(description: str | None, *, model: str, parent: str | None = None) -> argparse.ArgumentParser:
    """A parser with the options of a method as well; ``model`` and ``parent`` say what these files are."""
    stage = parser(description)
    stage.add_argument("--data", type=Path, required=True, help="prepared dataset (.npz)")
    if parent:
        add_variants(stage, "--parent", parent, required=True)
    stage.add_argument("--model", type=Path, required=True, help=model)
    stage.add_argument("--card", type=Path, required=True, help="the variant's card (.json)")
    return stage


@contextmanager
def running(stage: argparse.ArgumentParser) -> Iterator[Job]:
    """Parse the options, set threads, check code and variants, keep the log; a failure ends in one line and status 1.

    SIGTERM, which clusters send before they kill, interrupts a stage as Ctrl-C does: it puts things away.
    """
    options = stage.parse_args()
    set_threads(options.threads)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _keep_log(options.log)
        if not options.outlives_snakemake:
            end_with_snakemake()
        if options.code:
            code.require(options.code)
        for path in _variants(options):
            require_intact(path)
        started = time.monotonic()
        yield Job(options, options.spec)
        log.debug("done in %.1f s, peak memory %.0f MB", time.monotonic() - started, _peak_memory_mb())
    except KeyboardInterrupt:
        _fail(options.log, "interrupted", "")
    except Exception as error:
        _fail(options.log, _in_words(error), traceback.format_exc())


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _variants(options: argparse.Namespace) -> Iterator[Path]:
    """The files of variants among the options, each once: a session measures one on several engines."""
    given = (getattr(options, name) for name in options.variants)
    yield from dict.fromkeys(path for one in given for path in ([one] if isinstance(one, Path) else one))


class _LogFile(logging.FileHandler):
    """A log that cannot be written, on a full disk, says so once; the work goes on, since it may still fit."""

    _told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's own name)
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._told:
            self._told = True
            print(f"the log cannot be written ({error.strerror})", file=sys.stderr)


def _keep_log(path: Path | None) -> None:
    """Send the log to stderr and to its file, line by line, so that a killed job leaves what it said."""
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setLevel(logging.INFO)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[terminal], force=True)
    log.setLevel(logging.DEBUG)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(path, mode="w", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        logging.getLogger().addHandler(handler)


def _peak_memory_mb() -> float:
    """Peak resident memory of this process or of its largest child, in MB."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(_own_peak(), children) * MAXRSS_BYTES / 1e6


def _own_peak() -> int:
    """Peak resident memory of this process, in the unit of `ru_maxrss`."""
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux ru_maxrss also remembers the process that started this one, however large that was.
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii")).group(1))  # type: ignore[union-attr]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        advice = f"; {ADVICE[error.errno]}" if error.errno in ADVICE else ""
        return f"{error.strerror}{where}{advice}"
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    return text or type(error).__name__


def _fail(path: Path | None, cause: str, details: str) -> None:
    print(f"error: {cause}", file=sys.stderr)
    if path is not None:
        logging.shutdown()
        try:
            said = path.read_text(encoding="utf-8")
            write_text(path, f"error: {cause}\n\n{said}\n{details}")
        except OSError as error:
            print(f"error: the log could not be written either ({error.strerror})", file=sys.stderr)
    elif details:
        print(details, file=sys.stderr)
    sys.exit(1)
