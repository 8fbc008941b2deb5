"""The fingerprint of a machine."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.languages import Language
from compresslab.report.numbers import MISSING, significant


def host(evidence: Evidence, language: Language, host: str) -> Sheet | None:
    """The fingerprint of a machine; what it did not tell is said."""
    card = next((card for card in evidence.hosts if card["host"] == host), None)
    if card is None:
        return None
    facts = list(_host_facts(card, language))
    builder = Builder(language, host=host).text("field", [language(f"host.{name}") for name, _ in facts])
    return builder.text("value", [value for _, value in facts]).sheet()


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
            lambda gpus: joined([f"{gpu['name']} ({gpu['memory']}, {gpu['driver']})" for gpu in gpus]),
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
