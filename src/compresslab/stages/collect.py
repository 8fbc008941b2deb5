"""Put a lab's results together: scores, costs, latency, comparisons, and the verdict on every claim."""

from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compresslab.stages.answers import SCORED, identities
from compresslab.stages.command import Job, log, parser, running

if TYPE_CHECKING:
    from compresslab.data.card import DataCard


def main() -> None:
    """Write every table of the lab."""
    stage = parser(__doc__)
    stage.add_argument("--run", type=Path, required=True, help="folder of the run, `results/<run>`")
    stage.add_argument("--cards", type=Path, nargs="+", required=True, help="data cards of the lab's datasets (.json)")
    stage.add_argument("--claims", type=Path, required=True, help="ledger of published numbers (.yaml)")
    stage.add_argument("--out", type=Path, required=True, help="folder of the tables")
    with running(stage) as job:
        _collect(job)


def _collect(job: Job) -> None:
    from compresslab.data.card import read_card
    from compresslab.tables.claims import read_claims
    from compresslab.tables.collect import assembled, collect_lab
    from compresslab.tables.schemas import TABLES
    from compresslab.tables.verdicts import RunFacts, evaluate_claims

    spec = job.spec
    cards = [read_card(path) for path in job.options.cards]
    classes = _classes(cards)
    pieces = {
        **SCORED[spec["task"]](job, classes),
        "training": list(_trainings(job)),
        "layers": list(_layers(job)),
        "sensitivity": list(_sensitivities(job)),
        **_costs(job),
        **_sessions(job),
        **_studies(job),
        "codec_shift": list(_codec_shift(job)),
    }
    frames = {name: assembled(TABLES[name], parts) for name, parts in pieces.items()}
    facts = RunFacts(
        spec["scale"],
        cards[0].source,
        embedded=any(card.embedded for card in cards),
        substitute=any(card.substitute for card in cards),
        host=spec["host"],
    )
    claims = [claim for claim in read_claims(job.options.claims) if claim.lab == spec["lab"]]
    verdicts = evaluate_claims(claims, frames, facts)
    collect_lab(job.options.out, {**pieces, "claims": [verdicts]})
    log.info("%d claims: %s", len(verdicts), verdicts["verdict"].value_counts().to_dict())


def _classes(cards: "list[DataCard]") -> tuple[str, ...]:
    """The classes of the lab; datasets that differ in them answer different questions, and need a lab each."""
    if any(card.classes != cards[0].classes for card in cards):
        names = ", ".join(card.dataset for card in cards)
        raise ValueError(f"the datasets {names} have different classes; give each a lab of its own")
    return tuple(cards[0].classes)


def _trainings(job: Job) -> Iterator[Any]:
    """The training curves of the variants that were trained."""
    from compresslab.tables.collect import identified, read_piece

    for row, variant_id, seed in identities(job):
        if row["training"]:
            path = job.options.run / f"models/{variant_id}/seed-{seed}/training.csv"
            yield identified(read_piece(path, "training"), variant_id, seed)


def _layers(job: Job) -> Iterator[Any]:
    """The errors per layer of the quantized variants, against each of their references."""
    from compresslab.tables.collect import identified, read_piece

    for row, variant_id, seed in identities(job):
        for reference_id in row["layers"]:
            path = job.options.run / f"layers/{variant_id}/against/{reference_id}/seed-{seed}.csv"
            yield identified(read_piece(path, "layers"), variant_id, seed)


def _sensitivities(job: Job) -> Iterator[Any]:
    """What every layer costs quantized alone, of the variants whose making measures it."""
    from compresslab.tables.collect import identified, read_piece

    for row, variant_id, seed in identities(job):
        if row["sensitivity"]:
            path = job.options.run / f"models/{variant_id}/seed-{seed}/sensitivity.csv"
            yield identified(read_piece(path, "sensitivity"), variant_id, seed)


def _costs(job: Job) -> dict[str, list[Any]]:
    """Totals and layers of the costs of every variant that is weighed."""
    import pandas as pd

    from compresslab.artifacts import read_json
    from compresslab.tables.collect import identified

    totals, layers = [], []
    for row in filter(itemgetter("weighed"), job.spec["variants"]):
        variant_id = f"{job.spec['lab']}/{row['model']}/{row['variant']}"
        costs = read_json(job.options.run / f"costs/{variant_id}.json")
        totals.append(identified(pd.DataFrame([costs["totals"]]), variant_id))
        layers.append(identified(pd.DataFrame(costs["layers"]), variant_id))
    return {"costs": totals, "cost_layers": layers}


def _sessions(job: Job) -> dict[str, list[Any]]:
    """Latency, speed ratios, audits, skipped cells and states of GPUs of every host's session."""
    import pandas as pd

    from compresslab.arrays import read_arrays
    from compresslab.tables.collect import read_piece
    from compresslab.tables.speed import Contest, compare_speed

    lab = job.spec["lab"]
    contests = [
        Contest(row["model"], row["variant"], engine, row["baseline"], row["baseline_engine"])
        for row in job.spec["variants"]
        for engine in row["engines"]
    ]
    pieces: dict[str, list[Any]] = {"latency": [], "speed": [], "audit": [], "skipped": [], "gpu_states": []}
    for host in [job.spec["host"], *job.spec["other_hosts"]]:
        folder = job.options.run / "benchmarks" / host
        latency = read_piece(folder / f"{lab}.csv", "latency")
        speed = compare_speed(latency, read_arrays(folder / f"{lab}.samples.npz"), contests)
        pieces["latency"].append(latency)
        pieces["speed"].append(pd.DataFrame(speed))
        for name in ("audit", "skipped", "gpu_states"):
            pieces[name].append(read_piece(folder / f"{lab}.{name}.csv", name))
    return pieces


def _codec_shift(job: Job) -> Iterator[Any]:
    """What a codec takes from the variants that answered re-encoded images, with the first seed."""
    from compresslab.measure.reencoded import read_answers
    from compresslab.tables.codec_shift import codec_shift
    from compresslab.tables.collect import identified

    def answers(variant_id: str) -> Any:
        return read_answers(job.options.run / f"reencoded/{variant_id}.npz")

    for row in job.spec["codec_shift"]:
        shift = codec_shift(answers(row["variant"]), answers(row["reference"]))
        reference = row["reference"].partition("/")[2]
        named = shift.assign(host=job.spec["host"], engine=row["engine"], reference=reference)
        yield identified(named, row["variant"])


def _studies(job: Job) -> dict[str, list[Any]]:
    """The tables of the lab's studies on this run's host; a study's table has its name."""
    from compresslab.config.inventory import module_name
    from compresslab.tables.collect import read_piece

    folder = job.options.run / "studies" / job.spec["host"] / job.spec["lab"]
    tables = {module_name(study): folder / f"{study}.csv" for study in job.spec["studies"]}
    return {table: [read_piece(path, table)] for table, path in tables.items()}


if __name__ == "__main__":
    main()
