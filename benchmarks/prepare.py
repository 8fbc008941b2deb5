"""How long it takes to prepare datasets: seconds per dataset, from a mirror and drawn by the package.

    python benchmarks/prepare.py deeppcb deeppcb-pair --mirror MIRROR --json prepare.json

Without `--mirror`, embedded data only. Sources take turns in rounds; a number is the median over rounds. Fetching from
the mirror is timed apart, and once, since it is copying and checking.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from compresslab.artifacts import write_json
from compresslab.config.inventory import raw_name
from compresslab.data.fetch import fetch
from compresslab.data.prepare import prepare


def main() -> None:
    """Measure and print a table."""
    arguments = _arguments()
    with TemporaryDirectory() as folder:
        results = measure(arguments.datasets, arguments.mirror, arguments.rounds, Path(folder))
    print(f"{'dataset':<20}{'source':<12}{'fetch_s':>10}{'prepare_s':>12}{'images':>10}")
    for row in results:
        print(
            f"{row['dataset']:<20}{row['source']:<12}{row['fetch_s']:>10.2f}{row['prepare_s']:>12.2f}{row['images']:>10}"
        )
    if arguments.json:
        write_json(arguments.json, {"datasets": results})


def measure(datasets: Sequence[str], mirror: Path | None, rounds: int, folder: Path) -> list[dict[str, str | float]]:
    """Return seconds to fetch and to prepare every dataset from every source that there is."""
    raws = {raw_name(dataset) for dataset in datasets} if mirror else set()
    fetch_s = {raw: _seconds(partial(fetch, raw, "mirror", folder / raw, mirror)) for raw in raws}
    times: dict[tuple[str, str], list[float]] = {}
    images = {}
    for _ in range(rounds):
        for dataset in datasets:
            for source in ("mirror", "embedded") if mirror else ("embedded",):
                raw = folder / raw_name(dataset) if source == "mirror" else None
                start = time.perf_counter()
                card = prepare(dataset, source, raw, folder / "prepared.npz")
                times.setdefault((dataset, source), []).append(time.perf_counter() - start)
                images[dataset, source] = sum(sum(counts.values()) for counts in card.counts.values())
    return [
        {
            "dataset": dataset,
            "source": source,
            "fetch_s": fetch_s[raw_name(dataset)] if source == "mirror" else 0.0,
            "prepare_s": sorted(seconds)[len(seconds) // 2],
            "images": images[dataset, source],
        }
        for (dataset, source), seconds in times.items()
    ]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "datasets", nargs="*", default=["deeppcb", "deeppcb-pair"], help="datasets (default: deeppcb deeppcb-pair)"
    )
    parser.add_argument(
        "--mirror", type=Path, help="directory that holds <dataset>/<file>; default: embedded data only"
    )
    parser.add_argument("--rounds", type=int, default=3, help="times that everything is prepared (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
