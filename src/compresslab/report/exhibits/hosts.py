"""The machines: the fingerprint of one, the speed on several side by side, and what was seen of a GPU."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet, with_interval
from compresslab.report.figures.drawing import variant_names
from compresslab.report.findings import Findings
from compresslab.report.languages import Language
from compresslab.report.lookup import records
from compresslab.report.names import hardware
from compresslab.report.numbers import MISSING, NO_BREAK_SPACE, UNITS, count, significant


def host(evidence: Evidence, language: Language, host: str) -> Sheet | None:
    """The fingerprint of a machine; what it did not tell is said."""
    card = next((card for card in evidence.hosts if card["host"] == host), None)
    if card is None:
        return None
    facts = list(_host_facts(card, language))
    builder = Builder(language, host=host).text("field", [language(f"host.{name}") for name, _ in facts])
    return builder.text("value", [value for _, value in facts]).sheet()


def hosts(evidence: Evidence, language: Language) -> Sheet | None:
    """Latency of every cell with one thread on every host, side by side; None unless several hosts were measured."""
    table, names = evidence.table("latency"), Findings(evidence).hosts
    if table is None or len(names) < 2:
        return None
    rows = table[table["threads"] == 1]
    measured = {(cell["host"], *_cell(cell)): cell for cell in records(rows)}
    cells = rows.drop_duplicates(["model", "variant", "engine"])
    cards = {card["host"]: card for card in evidence.hosts}
    machines = [
        language("host.named", name=name, hardware=hardware(cards[name]) if name in cards else MISSING)
        for name in names
    ]
    builder = Builder(language, hosts=language("list.hosts").join(machines))
    builder.code("variant", variant_names(cells)).code("engine", cells["engine"])
    for name in names:
        found = (measured.get((name, *_cell(cell))) for cell in records(cells))
        builder.headed(language("column.p50_ms_on", host=name), [_latency(cell) if cell else MISSING for cell in found])
    return builder.sheet()


def gpu_states(evidence: Evidence, language: Language, host: str) -> Sheet | None:
    """What was seen of the GPU of every cell of a host that had one, over the rounds of the session."""
    table = evidence.table("gpu_states")
    rows = None if table is None else table[table["host"] == host]
    if rows is None or rows.empty:
        return None
    groups = [looks for _, looks in rows.groupby(["model", "variant", "engine", "threads"], sort=False)]
    first = pd.concat([looks.iloc[:1] for looks in groups])
    builder = Builder(language, host=host).code("variant", variant_names(first)).code("engine", first["engine"])
    builder.numbers("threads", first["threads"], count)
    for column in ("sm_clock_mhz", "memory_clock_mhz", "temperature_celsius", "power_w", "utilization_percent"):
        builder.headed(language(f"column.{column}"), [_range(looks[column]) for looks in groups])
    builder.text("slowed_by", [_slowed_by(looks["slowed_by"], language) for looks in groups])
    return builder.numbers("other_processes", [looks["other_processes"].max() for looks in groups], count).sheet()


def _latency(cell: Mapping[str, Any]) -> str:
    shown = with_interval(cell["p50_ms"], cell["p50_low_ms"], cell["p50_high_ms"], UNITS["ms"])
    return f"{shown}{NO_BREAK_SPACE}*" if cell["noisy"] else shown


def _cell(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in ("model", "variant", "engine"))


def _range(values: pd.Series) -> str:
    """The smallest and the largest of some numbers, without those that the driver did not tell."""
    if values.isna().all():
        return MISSING
    ends = dict.fromkeys(significant(value) for value in (values.min(), values.max()))
    return "\u2013".join(ends)


def _slowed_by(reasons: pd.Series, language: Language) -> str:
    """All reasons of all rounds; that there is none only where there never was one."""
    words = dict.fromkeys(word for reason in reasons for word in reason.split())
    named = [word for word in words if word != "nothing"] or ["nothing"]
    return language("list.join").join(language.known(f"slowed.{word}", word) for word in named)


def _host_facts(card: Mapping[str, Any], language: Language) -> Iterable[tuple[str, str]]:
    def told(value: Any) -> str:
        return language.known(f"hostvalue.{value}", str(value))

    def joined(values: Sequence[str]) -> str:
        return ", ".join(values) or MISSING

    def of(value: Any, show: Callable[[Any], str], kind: type | tuple[type, ...]) -> str:
        return show(value) if isinstance(value, kind) else told(value)

    cpu, memory, container, system = card["cpu"], card["memory"], card["container"], card["operating_system"]
    yield "cpu", f"{told(cpu['model'])} ({told(cpu['architecture'])})"
    yield "cores", " / ".join(told(cpu[f"{kind}_cores"]) for kind in ("physical", "logical", "usable"))
    yield "flags", of(cpu["flags"], lambda flags: joined([name for name, present in flags.items() if present]), dict)
    yield "caches", of(cpu["caches"], lambda sizes: joined([f"{name} {size}" for name, size in sizes.items()]), dict)
    yield "governor", told(cpu["governor"])
    yield "virtual", told(cpu["virtual_machine"])
    yield "memory", _gibibytes(memory["total_bytes"])
    limits = (container["cpu_quota_cores"], of(container["memory_limit_bytes"], _gibibytes, int))
    yield "container", " / ".join(told(limit) for limit in limits)
    yield (
        "gpu",
        of(
            card["gpu"],
            lambda gpus: joined(
                [language("host.gpu_facts", **{name: told(value) for name, value in gpu.items()}) for gpu in gpus]
            ),
            list,
        ),
    )
    yield "system", joined([told(system[name]) for name in ("distribution", "kernel", "libc")])
    yield "python", f"{card['python']['implementation']} {card['python']['version']}"
    installed = {name: version for name, version in card["libraries"].items() if version != "not installed"}
    yield "libraries", joined([f"{name} {version}" for name, version in installed.items()])
    yield "blas", f"{told(card['blas']['numpy']['name'])} {told(card['blas']['numpy']['version'])}"
    yield "code", _code(card["code"], language, told)
    yield "taken", told(card["taken_at"])


def _gibibytes(size: float) -> str:
    return f"{significant(size / 2**30)}\u202fGiB"


def _code(code: Mapping[str, Any], language: Language, told: Callable[[Any], str]) -> str:
    revision = told(code["revision"])
    if not isinstance(code["uncommitted_changes"], bool):
        return revision
    state = language("hostvalue.dirty" if code["uncommitted_changes"] else "hostvalue.clean")
    return f"`{revision[:12]}` ({state})"
