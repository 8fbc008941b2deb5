"""The experiment as the workflow needs it: variants with their files, engines and slices of the configuration.

A *variant id* is `lab/model/variant`. A slice is the smallest part of the configuration that a job depends
on, as canonical JSON: Snakemake reruns a job when its slice changes and at no other edit.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from compresslab.artifacts import canonical_json, file_sha256
from compresslab.config.calibration import Calibration
from compresslab.config.experiment import Experiment, Lab, LabLimits, Limits, Model, TrainingLimits
from compresslab.config.inventory import (
    architecture_module,
    engine_device,
    figure_needs,
    figure_shows,
    figures,
    module_name,
    studies,
    task_of,
)
from compresslab.config.method import Method
from compresslab.config.methods.import_ import Parameters as Import
from compresslab.config.study import Study
from compresslab.config.training import FineTuning, Optimization, Recipe, merged

Choice = TypeVar("Choice")

FRAMEWORKS_OF_WEIGHTS = ("torch", "tensorflow")
"""What a file holds that names its architecture; the others hold their graph."""

TABLES_OF_TASK = {
    "classification": {"scores", "scores_by_class", "confusion", "comparisons"},
    "segmentation": {
        *("segmentation", "segmentation_by_class", "segmentation_confusion", "segmentation_comparisons"),
        "figure_of_merit",
    },
}
"""Tables that only the answers to a task fill."""

STUDY_SHARE = 150
"""A study times each of its cells for this part of a session's seconds per cell, in every round."""

VIEWED_IMAGES, VIEWS_OF_EACH = 10, 3
"""Training images of which a figure shows what an augmentation makes, and how many views of each."""

LAYER_IMAGES = {"classification": 256, "segmentation": 8}
"""Training images over which layers are compared: enough for three digits of a relative error.

A street scene has as many pixels as a hundred small images."""


@dataclass(frozen=True)
class Variant:
    """One node of the variant graph."""

    lab: str
    model: str
    name: str
    architecture: str
    arguments: Mapping[str, object]
    dataset: str
    task: str
    method: Method

    @property
    def id(self) -> str:
        """`lab/model/variant`."""
        return f"{self.lab}/{self.model}/{self.name}"

    @property
    def parent_id(self) -> str | None:
        """Id of the parent, or None for a variant that starts from data."""
        return f"{self.lab}/{self.model}/{self.method.parent}" if self.method.parent else None


class OnGpuOnly(NamedTuple):
    """What of a variant does not run without a GPU, and what becomes of it then."""

    variant: str
    asks: str
    without: str


class Plan:
    """All variants of an experiment, and what each stage is told of them."""

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.variants: dict[str, Variant] = {variant.id: variant for variant in _variants(experiment)}
        self._hashes: dict[Path, str] = {}

    @property
    def labs(self) -> list[str]:
        """Names of the labs, in the order of the configuration."""
        return list(self.experiment.labs)

    @property
    def seeds(self) -> list[int]:
        """The seeds; the first one is the one whose speed and size are measured."""
        return self.experiment.seeds

    def lab(self, name: str) -> Lab:
        """A lab's configuration."""
        return self.experiment.labs[name]

    def seeds_of(self, lab: str) -> list[int]:
        """The seeds that a lab is trained with at this scale: the first ones of the run's; one, if all is imported."""
        if all(isinstance(variant.method, Import) for variant in self.of_lab(lab) if not variant.method.reads):
            return self.seeds[:1]
        return self.seeds[: _caps(self.experiment, lab).seeds]

    def limits(self, lab: str) -> Limits:
        """Caps on images and epochs: the run's and the lab's own at this scale, the smaller of the two."""
        return _limits(self.experiment, lab)

    def protocol(self, lab: str) -> dict[str, Any]:
        """Settings of a lab's latency session: the run's, under the lab's caps at this scale."""
        settings = self.experiment.benchmark.model_dump(mode="json", exclude={"other_hosts"})
        return settings | _capped(settings, _caps(self.experiment, lab))

    def of_lab(self, lab: str) -> list[Variant]:
        """The variants of a lab, in the order of the configuration."""
        return self._by_lab[lab]

    def answering(self, task: str) -> list[str]:
        """Ids of the variants that a task asks: `classification` or `segmentation`."""
        return [variant.id for variant in self.variants.values() if variant.task == task]

    def weighed(self, lab: str) -> list[Variant]:
        """The variants of a lab that are timed and weighed: all but those that simulate another one's arithmetic."""
        return [variant for variant in self.of_lab(lab) if not variant.method.simulates]

    def made_by(self, method: str, kind: str | None = None) -> list[str]:
        """Ids of the variants that a method makes; of one ``kind`` only, where it makes several."""
        made = [variant for variant in self.variants.values() if variant.method.method == method]
        return [variant.id for variant in made if kind in (None, variant.method.makes)]

    def model_file(self, variant_id: str, seed: int | str, run: str) -> str:
        """Path of a variant's artifact."""
        return f"results/{run}/models/{variant_id}/seed-{seed}/{self.variants[variant_id].method.artifact}"

    def engines(self, variant: Variant) -> list[str]:
        """Engines that the latency session runs the variant on; the first one makes its predictions."""
        return _chosen_for(variant, self.lab(variant.lab).engines) or [variant.method.engine]

    def on_gpu_only(self) -> Iterator[OnGpuOnly]:
        """Yield what does not run without a GPU: trainings with `device: cuda`, and engines."""
        for variant in self.variants.values():
            if getattr(variant.method, "device", None) == "cuda":
                yield OnGpuOnly(variant.id, "device: cuda", "training fails")
            for position, engine in enumerate(self.engines(variant)):
                if engine_device(engine) == "cuda":
                    # The first engine has to answer the test images.
                    without = "cells are skipped" if position else "predictions fail"
                    yield OnGpuOnly(variant.id, f"engine {engine}", without)

    def references(self, variant: Variant) -> list[Variant]:
        """What a quantized variant is held against layer by layer: its parent, and those that the lab names.

        A parent that only simulates integers has no layers of its own to show.
        """
        if not variant.method.makes.endswith("-quantized") or variant.parent_id is None:
            return []
        named = _chosen_for(variant, self.lab(variant.lab).layer_references) or []
        others = [reference for name in named if (reference := self._named(variant, name))]
        parent = self.variants[variant.parent_id]
        return others if parent.method.simulates else [parent, *others]

    def compared_with(self, variant: Variant) -> dict[str, Variant]:
        """What a variant's answers are held against, by the lab's name for it: its parent, and those the lab names."""
        parent = variant.method.parent
        names = ([parent] if parent else []) + (_chosen_for(variant, self.lab(variant.lab).comparisons) or [])
        return {name: reference for name in names if (reference := self._named(variant, name))}

    def figures(self, lab: str) -> list[str]:
        """The figures that can show something of a lab, by the tables and the other things that it has."""
        empty, absent = frozenset(self._empty_tables(lab)), self._absent_kinds(lab)
        return [
            module_name(figure)
            for figure in figures()
            if figure_shows(figure, empty) and absent.isdisjoint(figure_needs(figure)[1])
        ]

    def datasets(self, lab: str) -> list[str]:
        """Names of the datasets that a lab's models are trained on, in the order of the configuration."""
        return list(dict.fromkeys(variant.dataset for variant in self.of_lab(lab)))

    def baseline(self, variant: Variant) -> Variant:
        """What the variant's speed and size are compared with."""
        named = self.lab(variant.lab).baseline
        baseline = self._named(variant, named) if named else None
        if baseline and baseline.model == variant.model:
            return baseline
        return next(other for other in self.of_lab(variant.lab) if other.model == variant.model)

    def data_slice(self, dataset: str) -> str:
        """What fetching a dataset depends on."""
        data = self.experiment.data
        mirror = data.mirror if data.source == "mirror" else None
        return canonical_json({"dataset": dataset, "source": data.source, "mirror": mirror})

    def preparation_slice(self, dataset: str) -> str:
        """What preparing a dataset depends on: not on where a mirror lies."""
        return canonical_json({"dataset": dataset, "source": self.experiment.data.source})

    def method_slice(self, variant_id: str, seed: int | str) -> str:
        """What making a variant depends on."""
        variant = self.variants[variant_id]
        limits = self._training_limits(variant)
        facts: dict[str, object] = {
            "variant": variant_id,
            "seed": int(seed),
            "method": variant.method.method,
            "parent": variant.method.parent,
            "parameters": variant.method.parameters(),
        }
        if variant.method.builds:
            facts["architecture"] = variant.architecture
            facts["arguments"] = dict(variant.arguments)
        if self.is_trained(variant):
            facts["train_images"] = limits.train_images
            facts["validation_images"] = limits.validation_images
        return canonical_json(facts)

    def import_slice(self, variant_id: str, seed: int | str) -> str:
        """What importing depends on: what the user's file holds, not where it lies."""
        facts = json.loads(self.method_slice(variant_id, seed))
        return canonical_json({**facts, "file_sha256": self._sha256(self.imported_file(variant_id))})

    def imported_file(self, variant_id: str) -> Path:
        """The user's file that a variant is imported from."""
        method = self.variants[variant_id].method
        assert isinstance(method, Import), f"{variant_id} is not imported"
        return Path(method.file)

    def predict_slice(self, variant_id: str) -> str:
        """What predicting depends on: the engine and the images."""
        variant = self.variants[variant_id]
        return canonical_json({"engine": self.engines(variant)[0], "test_images": self.limits(variant.lab).test_images})

    def reencoded(self, lab: str) -> list[Variant]:
        """The variants of a lab that also answer test images after a codec."""
        shift = self.lab(lab).codec_shift
        return [self.variants[f"{lab}/{name}"] for name in shift.of] if shift else []

    def reencoding_slice(self, variant_id: str) -> str:
        """What answering re-encoded images depends on: the engine, the images and the qualities."""
        shift = self.lab(self.variants[variant_id].lab).codec_shift
        assert shift is not None, f"{variant_id} answers no re-encoded images"
        return canonical_json({**json.loads(self.predict_slice(variant_id)), "qualities": shift.qualities})

    def layers_slice(self, variant_id: str, reference_id: str) -> str:
        """What the comparison of layers depends on: both engines and the images."""
        variant, reference = self.variants[variant_id], self.variants[reference_id]
        return canonical_json(
            {
                "engine": self.engines(variant)[0],
                "reference": reference.name,
                "reference_engine": self.engines(reference)[0],
                "images": LAYER_IMAGES[variant.task],
            }
        )

    def cost_slice(self, variant_id: str) -> str:
        """What counting depends on: which counter reads the artifact."""
        return canonical_json({"counter": self.counter(self.variants[variant_id])})

    def counter(self, variant: Variant) -> str:
        """Module that counts the variant's costs: one per file format."""
        return f"compresslab.measure.cost_{variant.method.makes.partition('-')[0]}"

    def distorted(self, lab: str) -> list[Variant]:
        """The variants of a lab that are trained from first weights on elastically distorted images."""
        return [
            variant
            for variant in self.of_lab(lab)
            if isinstance(variant.method, Recipe) and variant.method.augmentation == "elastic"
        ]

    def views_slice(self, variant_id: str) -> str:
        """What the views of training images depend on: the distortion, and how many are shown."""
        recipe = self.variants[variant_id].method
        assert isinstance(recipe, Recipe), f"{variant_id} is not trained from first weights"
        return canonical_json(
            {
                "elastic": recipe.elastic.model_dump(mode="json"),
                "seed": self.seeds[0],
                "images": VIEWED_IMAGES,
                "views": VIEWS_OF_EACH,
            }
        )

    def benchmark_slice(self, lab: str) -> str:
        """What a latency session depends on: the protocol and the cells of the matrix."""
        cells = [
            {"model": variant.model, "variant": variant.name, "engine": engine, "integer": variant.method.integer,
             "allow_float": getattr(variant.method, "allow_float", [])}
            for variant in self.weighed(lab)
            for engine in self.engines(variant)
        ]  # fmt: skip
        return canonical_json({"lab": lab, "seed": self.seeds[0], "protocol": self.protocol(lab), "cells": cells})

    def study_slice(self, lab: str, study: str) -> str:
        """What a study depends on: its settings, and how long it measures."""
        protocol = self.protocol(lab)
        # A session's seconds are for one cell; a study has hundreds of small ones.
        effort = {"rounds": protocol["rounds"], "seconds": protocol["seconds"] / STUDY_SHARE}
        settings = self.study(lab, study).model_dump(mode="json")
        return canonical_json(
            {"study": study, "lab": lab, "host": protocol["host"], "settings": settings, "effort": effort}
        )

    def study(self, lab: str, name: str) -> Study:
        """Settings of a lab's study."""
        return self.lab(lab).studies.chosen[name]

    def study_variants(self, lab: str, study: str) -> list[str]:
        """Ids of the variants that a study looks into."""
        return [f"{lab}/{variant}" for variant in self.study(lab, study).variants]

    def tables_slice(self, lab: str) -> str:
        """What a lab's tables depend on: its variants, who descends from whom, and the facts a verdict needs."""
        experiment = self.experiment
        rows = [
            {
                "model": variant.model,
                "variant": variant.name,
                "parent": variant.method.parent,
                "engines": self.engines(variant),
                "baseline": self.baseline(variant).name,
                "baseline_engine": self.engines(self.baseline(variant))[0],
                "training": self.is_trained(variant),
                "weighed": not variant.method.simulates,
                "sensitivity": variant.method.measures_sensitivity,
                "compared_with": {name: reference.id for name, reference in self.compared_with(variant).items()},
                "layers": [reference.id for reference in self.references(variant)],
            }
            for variant in self.of_lab(lab)
        ]
        return canonical_json(
            {
                "lab": lab,
                "task": self.of_lab(lab)[0].task,
                "baseline": self._baseline_of_lab(lab),
                "scale": experiment.scale,
                "seeds": self.seeds_of(lab),
                "host": experiment.benchmark.host,
                "other_hosts": experiment.benchmark.other_hosts,
                "studies": list(self.lab(lab).studies.chosen),
                "codec_shift": self._codec_shift(lab),
                "variants": rows,
            }
        )

    def subject_slice(self, lab: str) -> str:
        """What a report says of the configuration: scale, source, seeds, and every variant's settings."""
        experiment = self.experiment
        models: dict[str, dict[str, object]] = {}
        for variant in self.of_lab(lab):
            built = {"architecture": variant.architecture, "arguments": dict(variant.arguments)}
            model = models.setdefault(variant.model, {**built, "train": {}, "variants": {}})
            settings = variant.method.parameters()
            if isinstance(variant.method, Recipe) and not model["train"]:
                model["train"] = settings
            described = {"method": variant.method.method, "from": variant.method.parent, **settings}
            model["variants"][variant.name] = described  # type: ignore[index]
        return canonical_json(
            {
                "lab": lab,
                "title": self.lab(lab).title,
                "run": experiment.run_name,
                "scale": experiment.scale,
                "source": experiment.data.source,
                "host": experiment.benchmark.host,
                "seeds": self.seeds_of(lab),
                "languages": experiment.languages,
                "datasets": self.datasets(lab),
                "figures": self.figures(lab),
                "arithmetic": self._arithmetic(lab),
                "instead": {name: read for name, read in experiment.data.instead.items() if read in self.datasets(lab)},
                "models": models,
                # Canonical JSON sorts its keys; the order of the configuration is the order of the report.
                "order": [f"{variant.model}/{variant.name}" for variant in self.of_lab(lab)],
            }
        )

    def index_slice(self) -> str:
        """What the first page says of the configuration: the subject of every lab, and the hosts."""
        hosts = [self.experiment.benchmark.host, *self.experiment.benchmark.other_hosts]
        return canonical_json({"labs": [json.loads(self.subject_slice(lab)) for lab in self.labs], "hosts": hosts})

    def figure_slice(self, lab: str, figure: str) -> str:
        """What a figure depends on beside its files: the variants in their order, which are first, the languages."""
        variants = {f"{variant.model}/{variant.name}": variant.parent_id is None for variant in self.of_lab(lab)}
        return canonical_json(
            {
                "figure": figure,
                "variants": list(variants),
                "roots": [name for name, is_root in variants.items() if is_root],
                "baseline": self._baseline_of_lab(lab),
                "arithmetic": self._arithmetic(lab),
                "languages": self.experiment.languages,
            }
        )

    def networks(self, lab: str) -> list[Variant]:
        """The variants that are NumPy networks, which figures and reports look into."""
        return [variant for variant in self.of_lab(lab) if variant.method.artifact == "model.npz"]

    def is_trained(self, variant: Variant) -> bool:
        """Whether a training makes the variant, which then has a training curve."""
        return isinstance(variant.method, Optimization)

    def environment_file(self, variant_id: str) -> str:
        """Environment in which a variant is run, as the rules name it."""
        framework = self.variants[variant_id].method.makes.partition("-")[0]
        return f"../../envs/{framework}.yaml"

    def code_of_architecture(self, variant_id: str) -> list[str]:
        """Modules that opening the artifact loads by name: a file of weights needs its architecture."""
        variant = self.variants[variant_id]
        framework = variant.method.makes.partition("-")[0]
        return [architecture_module(variant.architecture, framework)] if framework in FRAMEWORKS_OF_WEIGHTS else []

    def code_of_method(self, variant_id: str) -> list[str]:
        """Modules that making a variant loads by name: the architecture that it trains, or the one of its parent."""
        variant = self.variants[variant_id]
        if variant.parent_id is not None:
            return self.code_of_architecture(variant.parent_id)
        framework = variant.method.builds
        return [architecture_module(variant.architecture, framework)] if framework else []

    def code_of_engine(self, variant_id: str, engine: str) -> list[str]:
        """Modules that running a variant loads by name, which the import graph cannot see."""
        return [f"compresslab.engines.{module_name(engine)}", *self.code_of_architecture(variant_id)]

    def _arithmetic(self, lab: str) -> dict[str, str]:
        """In what every `model/variant` computes: `float`, `simulated` integers, or `integer`."""
        return {f"{variant.model}/{variant.name}": variant.method.computes_in() for variant in self.of_lab(lab)}

    def _empty_tables(self, lab: str) -> set[str]:
        """The tables that have no rows for a lab, whatever its run finds."""
        variants, chosen = self.of_lab(lab), self.lab(lab).studies.chosen
        filled = {
            "training": any(self.is_trained(variant) for variant in variants),
            "layers": any(self.references(variant) for variant in variants),
            "sensitivity": any(variant.method.measures_sensitivity for variant in variants),
            "codec_shift": self.lab(lab).codec_shift is not None,
            **{module_name(study): study in chosen for study in studies()},
        }
        empty = {table for table, has_rows in filled.items() if not has_rows}
        tasks = {variant.task for variant in variants}
        return empty.union(*(tables for task, tables in TABLES_OF_TASK.items() if task not in tasks))

    def _absent_kinds(self, lab: str) -> set[str]:
        """What figures look into beside tables and a lab does not have."""
        tasks = {variant.task for variant in self.of_lab(lab)}
        there = {
            "networks": bool(self.networks(lab)),
            "views": bool(self.distorted(lab)),
            "predictions": "classification" in tasks,
            "label_maps": "segmentation" in tasks,
        }
        return {kind for kind, is_there in there.items() if not is_there}

    def _training_limits(self, variant: Variant) -> Limits:
        """Caps on what a variant's training sees: the lab's, under those of its model."""
        model = self.lab(variant.lab).models[variant.model]
        return _limits_of_model(self.limits(variant.lab), model.limits.get(self.experiment.scale))

    def _sha256(self, path: Path) -> str:
        """Hash of a file, computed once: Snakemake asks for a job's params several times."""
        if path not in self._hashes:
            self._hashes[path] = file_sha256(path)
        return self._hashes[path]

    def _codec_shift(self, lab: str) -> list[dict[str, str]]:
        """The variants of which re-encoded images are scored, with their engines, and the one they are held against."""
        shift = self.lab(lab).codec_shift
        return [
            {"variant": variant.id, "engine": self.engines(variant)[0], "reference": f"{lab}/{shift.baseline}"}
            for variant in self.reencoded(lab)
            if shift is not None
        ]

    def _baseline_of_lab(self, lab: str) -> str:
        """The lab's baseline as `model/variant`: the variant that it names, or its first one."""
        named, variants = self.lab(lab).baseline, self.of_lab(lab)
        found = (variant for variant in variants if named in (variant.name, f"{variant.model}/{variant.name}"))
        baseline = next(found, variants[0])
        return f"{baseline.model}/{baseline.name}"

    def _named(self, variant: Variant, name: str) -> Variant | None:
        """The variant that a lab calls `variant`, of the same model, or `model/variant`; None where there is none."""
        lab = variant.lab
        return self.variants.get(f"{lab}/{variant.model}/{name}") or self.variants.get(f"{lab}/{name}")

    @cached_property
    def _by_lab(self) -> dict[str, list[Variant]]:
        grouped: dict[str, list[Variant]] = {lab: [] for lab in self.labs}
        for variant in self.variants.values():
            grouped[variant.lab].append(variant)
        return grouped


def _chosen_for(variant: Variant, choices: Mapping[str, Choice]) -> Choice | None:
    """What a lab chose for a variant, named `model/variant` or `variant`."""
    return choices.get(f"{variant.model}/{variant.name}") or choices.get(variant.name)


def _caps(experiment: Experiment, lab: str) -> LabLimits:
    """The lab's own caps at the scale of the run."""
    return experiment.labs[lab].limits.get(experiment.scale, LabLimits())


def _limits(experiment: Experiment, lab: str) -> Limits:
    limits = experiment.limits
    return limits.model_copy(update=_capped(limits.model_dump(), _caps(experiment, lab)))


def _limits_of_model(limits: Limits, caps: TrainingLimits | None) -> Limits:
    """The caps of a lab, under those that a model has at the scale of the run."""
    return limits if caps is None else limits.model_copy(update=_capped(limits.model_dump(), caps))


def _capped(settings: Mapping[str, Any], caps: TrainingLimits) -> dict[str, Any]:
    """Those of ``settings`` for which there is a cap, no larger than it; what is unset has no bound of its own."""
    given = {name: cap for name, cap in caps.model_dump(exclude_none=True).items() if name in settings}
    return {name: cap if settings[name] is None else min(settings[name], cap) for name, cap in given.items()}


def _variants(experiment: Experiment) -> Iterator[Variant]:
    for lab_name, lab in experiment.labs.items():
        limits, instead = _limits(experiment, lab_name), experiment.data.instead
        for model_name, model in lab.models.items():
            dataset = model.dataset or lab.dataset
            read = instead.get(dataset, dataset)
            caps = _limits_of_model(limits, model.limits.get(experiment.scale))
            for name, method in model.variants.items():
                yield Variant(
                    lab=lab_name,
                    model=model_name,
                    name=name,
                    architecture=model.architecture or model_name,
                    arguments=model.arguments,
                    dataset=read,
                    task=task_of(read, experiment.data.source),
                    method=_with_few_images(_with_recipe(method, model, caps), limits),
                )


def _with_few_images(method: Method, limits: Limits) -> Method:
    """A method that calibrates or probes layers, with the images that it looks at capped by the scale."""
    cap = limits.calibration_images
    if cap is None:
        return method
    update: dict[str, object] = {}
    calibration = getattr(method, "calibration", None)
    if isinstance(calibration, Calibration):
        update["calibration"] = calibration.model_copy(update={"images": min(calibration.images, cap)})
    if hasattr(method, "probe_images"):
        update["probe_images"] = min(method.probe_images, cap)
    return method.model_copy(update=update)


def _with_recipe(method: Method, model: Model, limits: Limits) -> Method:
    """A method that trains, with the model's recipe under its own settings, epochs and batch capped by the scale."""
    if not isinstance(method, Optimization):
        return method
    settings = merged(method, model.train)
    fine_tuning = limits.fine_tuning_epochs if isinstance(method, FineTuning) else None
    for name, caps in {"epochs": (limits.epochs, fine_tuning), "batch": (limits.batch,)}.items():
        given = settings.get(name, getattr(method, name))
        settings[name] = min(given, *(given if cap is None else cap for cap in caps))
    return method.model_copy(update=settings)
