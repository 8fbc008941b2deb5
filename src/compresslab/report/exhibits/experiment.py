"""What a lab works with: images, files, variants, settings of the training, architecture."""

from collections.abc import Mapping
from typing import Any

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.languages import Language
from compresslab.report.names import Names
from compresslab.report.numbers import MISSING, count

_MOST_CLASSES = 12
_DIGEST_CHARACTERS = 16


def counts(evidence: Evidence, language: Language) -> Sheet | None:
    """Images per split, and per class where there are not too many."""
    card = evidence.card
    builder = Builder(language).text("split", [language(f"split.{split}") for split in card.counts])
    if len(card.classes) <= _MOST_CLASSES:
        for name in card.classes:
            builder.headed(name, [count(classes.get(name, 0)) for classes in card.counts.values()])
    return builder.numbers("total", [sum(classes.values()) for classes in card.counts.values()], count).sheet()


def files(evidence: Evidence, language: Language) -> Sheet | None:
    """The published files that the data came from."""
    found = evidence.card.files
    if not found:
        return None
    builder = Builder(language).code("file", [file.name for file in found])
    builder.numbers("file_bytes", [file.bytes for file in found])
    return builder.code("sha256", [file.sha256[:_DIGEST_CHARACTERS] + "…" for file in found]).sheet()


def variants(evidence: Evidence, language: Language) -> Sheet | None:
    """The variant graph: parent, method, and the settings that are not those of the model's training."""
    names = Names(evidence.subject)
    rows = [
        (names.name(model, name), settings, entry.get("train", {}))
        for model, entry in evidence.subject.models.items()
        for name, settings in entry["variants"].items()
    ]
    builder = Builder(language).code("variant", [name for name, _, _ in rows])
    builder.code("parent", [settings.get("from") for _, settings, _ in rows])
    builder.code("method", [settings["method"] for _, settings, _ in rows])
    return builder.text("settings", [_settings(settings, train) for _, settings, train in rows]).sheet()


def settings(evidence: Evidence, language: Language) -> Sheet | None:
    """How the models are trained; said once when all of them are trained alike."""
    trained = {model: _flat(entry.get("train", {})) for model, entry in evidence.subject.models.items()}
    alike = len(set(map(str, trained.values()))) == 1
    shown = dict(list(trained.items())[:1]) if alike else trained
    rows = [(model, key, value) for model, recipe in shown.items() for key, value in recipe.items()]
    if not rows:
        return None
    builder = Builder(language)
    if not alike:
        builder.code("model", [model for model, _, _ in rows])
    return builder.code("field", [key for _, key, _ in rows]).text("value", [value for _, _, value in rows]).sheet()


def architecture(evidence: Evidence, language: Language, variant: str | None = None) -> Sheet | None:
    """Layers, shapes, parameters and multiply-accumulates of one variant (the first one when unset)."""
    layers = evidence.table("cost_layers")
    if layers is None:
        return None
    names = Names(evidence.subject)
    chosen = names.resolved(variant) if variant else names.of(layers).iloc[0]
    rows = layers[names.of(layers) == chosen]
    if rows.empty:
        return None
    builder = Builder(language, variant=chosen).code("layer", rows["layer"]).text("operator", rows["operator"])
    builder.numbers("output_shape", rows["output_shape"], str)
    return builder.numbers("parameters", rows["parameters"], count).numbers("macs", rows["macs"], count).sheet()


def _settings(entry: Mapping[str, Any], train: Mapping[str, Any]) -> str:
    """Write a variant's own settings: those of its model's training have a table of their own."""
    own = {key: value for key, value in entry.items() if key not in ("method", "from") and train.get(key) != value}
    return ", ".join(f"{key} {value}" for key, value in _flat(own).items()) or MISSING


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Write nested settings as ``optimizer.lr: 0.01``; what is unset is left out."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif value is not None and value != []:
            flat[prefix + key] = str(value)
    return flat
