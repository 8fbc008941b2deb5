# The plan behind the rules: what config.yaml asks for, and the functions that wire it.
import errno
import os
import re
import sys
from pathlib import Path

from compresslab.config.inventory import (
    architecture_module,
    dataset_module,
    figure_needs,
    figures,
    module_name,
    raw_name,
    studies,
    study_module,
)
from compresslab.config.load import load
from compresslab.config.patterns import any_of
from compresslab.config.plan import Plan
from compresslab.config.problems import ConfigurationError
from compresslab.lineage.code import stamp, tokens
from compresslab.lineage.spec import told


def require_writable(*paths):
    """End in a line where Snakemake would end in a traceback: all of these must be writable, or what they will lie in."""
    for path in paths:
        folder = next(each for each in (path, *path.parents) if each.is_dir())
        if not os.access(folder, os.W_OK):
            reason = errno.EROFS if os.statvfs(folder).f_flag & os.ST_RDONLY else errno.EACCES
            sys.exit(f"error: {os.strerror(reason)}: {folder}; this run has to write there")


def read_plan():
    """The plan of config.yaml, of the files given by --configfile, and of --config; mistakes end the run in words."""
    settings = workflow.config_settings
    given = [Path(file) for file in workflow.overwrite_configfiles]
    files = given if given and settings.replace_workflow_config else [Path("config.yaml"), *given]
    try:
        return Plan(load(files, PROJECT / "workflow" / "scales", settings.config))
    except ConfigurationError as error:
        sys.exit(str(error))


# Locks and records, even in a dry run.
require_writable(Path.cwd() / ".snakemake")
PLAN = read_plan()
EXPERIMENT = PLAN.experiment
RUN = EXPERIMENT.run_name
SOURCE = EXPERIMENT.data.source
HOST = EXPERIMENT.benchmark.host
HOSTS = [HOST, *EXPERIMENT.benchmark.other_hosts]
LANGUAGES = EXPERIMENT.languages
FIGURES = [module_name(name) for name in figures()]
TABLES = (
    "scores scores_by_class confusion segmentation segmentation_by_class segmentation_confusion"
    " segmentation_comparisons figure_of_merit training costs cost_layers latency gpu_states speed sparse_products"
    " architecture_costs convolutions training_steps codec_shift audit skipped comparisons layers sensitivity claims"
).split()
FIRST_SEED = PLAN.seeds[0]
DATASETS = sorted({variant.dataset for variant in PLAN.variants.values()})


wildcard_constraints:
    run=re.escape(RUN),
    lab=any_of(PLAN.labs),
    variant=any_of(PLAN.variants),
    reference=any_of(PLAN.variants),
    dataset=any_of(DATASETS),
    raw=any_of({raw_name(dataset) for dataset in DATASETS}),
    source=SOURCE,
    host=any_of(HOSTS),
    seed=r"\d+",
    study=any_of(studies()),


def growing(amount):
    """Memory in MB or time in minutes: so much, and as much more with every further attempt, where a profile retries."""
    return lambda wildcards, attempt: attempt * amount


def project_file(path):
    """A file of the project as the working directory sees it, so that a moved project asks for no rerun."""
    return os.path.relpath(PROJECT / path)


def method_slice(wildcards):
    """The part of the configuration that makes a variant."""
    return PLAN.method_slice(wildcards.variant, wildcards.seed)


def import_slice(wildcards):
    """The part of the configuration that imports a variant, and the hash of the user's file."""
    return PLAN.import_slice(wildcards.variant, wildcards.seed)


def imported_file(wildcards, output):
    """The user's file. Snakemake does not record a param that takes `output`: a moved file makes nothing anew."""
    return str(PLAN.imported_file(wildcards.variant))


def stage(name, *others):
    """Entry modules of a stage, and those that it loads by name."""
    return [f"compresslab.stages.{name}", *others]


def prepared(dataset):
    """Path of a prepared dataset."""
    return f"data/prepared/{SOURCE}/{dataset}.npz"


def data_of_variant(wildcards):
    """The prepared dataset of a variant's lab."""
    return prepared(PLAN.variants[wildcards.variant].dataset)


def data_of_lab(wildcards):
    """The prepared datasets of a lab, the first one first."""
    return [prepared(dataset) for dataset in PLAN.datasets(wildcards.lab)]


def cards_of_lab(wildcards):
    """The data cards of a lab."""
    return [str(Path(data).with_suffix(".json")) for data in data_of_lab(wildcards)]


def parent_model(wildcards):
    """The artifact that a variant starts from."""
    return PLAN.model_file(PLAN.variants[wildcards.variant].parent_id, wildcards.seed, RUN)


def model(wildcards):
    """The artifact of a variant."""
    return PLAN.model_file(wildcards.variant, wildcards.seed, RUN)


def raw_files(wildcards):
    """The list of the raw files that a dataset reads, which several datasets may share; generated data read none."""
    if wildcards.source == "embedded":
        return []
    return [f"data/raw/{wildcards.source}/{raw_name(wildcards.dataset)}/fetched.json"]


def fetch_code(wildcards):
    """Entry modules of a fetch: the module that names the files is found by its name."""
    return stage("fetch", dataset_module(wildcards.raw, wildcards.source))


def prepare_code(wildcards):
    """Entry modules of a preparation: the dataset's own module is found by its name."""
    return stage("prepare", dataset_module(wildcards.dataset, wildcards.source))


def predict_code(wildcards):
    """Entry modules of a prediction: the stage, the engine and the architecture that it loads by name."""
    variant = PLAN.variants[wildcards.variant]
    return stage("predict", *PLAN.code_of_engine(variant.id, PLAN.engines(variant)[0]))


def segment_code(wildcards):
    """Entry modules of answers per pixel: the stage, the engine and the architecture that it loads by name."""
    variant = PLAN.variants[wildcards.variant]
    return stage("segment", *PLAN.code_of_engine(variant.id, PLAN.engines(variant)[0]))


def reencoding_code(wildcards):
    """Entry modules of answers to re-encoded images: the stage, the engine and the architecture that it loads by name."""
    variant = PLAN.variants[wildcards.variant]
    return stage("predict_reencoded", *PLAN.code_of_engine(variant.id, PLAN.engines(variant)[0]))


def layers_code(wildcards):
    """Entry modules of a comparison of layers: both engines are loaded by name."""
    sides = [PLAN.variants[wildcards.variant], PLAN.variants[wildcards.reference]]
    return stage(
        "layers",
        *(name for side in sides for name in PLAN.code_of_engine(side.id, PLAN.engines(side)[0])),
    )


def cost_code(wildcards):
    """Entry modules of a count: the counter of the file's format, and the architecture that it builds by name."""
    variant = PLAN.variants[wildcards.variant]
    return stage("cost", PLAN.counter(variant), *PLAN.code_of_architecture(variant.id))


def benchmark_code(wildcards):
    """Entry modules of a session: the worker processes and every engine and architecture that they load by name."""
    engines = [
        name
        for variant in PLAN.weighed(wildcards.lab)
        for engine in PLAN.engines(variant)
        for name in PLAN.code_of_engine(variant.id, engine)
    ]
    return stage("benchmark", "compresslab.measure.worker", *sorted(set(engines)))


def method_code(name):
    """Entry modules of a method: its stage, and the architecture that it builds or opens by name."""
    return lambda wildcards: stage(name, *PLAN.code_of_method(wildcards.variant))


def threads_of_training(wildcards):
    """Threads of a training, which are part of its result's identity."""
    return PLAN.variants[wildcards.variant].method.threads


def benchmarked_data(wildcards):
    """The dataset of every cell of a session, in the order of its slice."""
    return [prepared(variant.dataset) for variant in PLAN.weighed(wildcards.lab) for _ in PLAN.engines(variant)]


def benchmarked_models(wildcards):
    """The artifact of every cell of a session, in the order of its slice."""
    return [
        PLAN.model_file(variant.id, FIRST_SEED, RUN)
        for variant in PLAN.weighed(wildcards.lab)
        for _ in PLAN.engines(variant)
    ]


def predictions_of_lab(wildcards):
    """Predictions of every variant and seed of a lab."""
    ids = [variant.id for variant in PLAN.of_lab(wildcards.lab)]
    return expand(
        "results/{run}/predictions/{variant}/seed-{seed}.npz",
        run=RUN,
        variant=ids,
        seed=PLAN.seeds_of(wildcards.lab),
    )


def reencoded_of_lab(wildcards):
    """Answers to re-encoded images of the variants that give them, trained with the first seed."""
    return [f"results/{RUN}/reencoded/{variant.id}.npz" for variant in PLAN.reencoded(wildcards.lab)]


def layers_of_lab(wildcards):
    """Comparisons of layers of the lab's quantized variants, each with its references."""
    return [
        f"results/{RUN}/layers/{variant.id}/against/{reference.id}/seed-{seed}.csv"
        for variant in PLAN.of_lab(wildcards.lab)
        for reference in PLAN.references(variant)
        for seed in PLAN.seeds_of(wildcards.lab)
    ]


def trainings_of_lab(wildcards):
    """Training curves of the lab's trained variants."""
    ids = [variant.id for variant in PLAN.of_lab(wildcards.lab) if PLAN.is_trained(variant)]
    return expand(
        "results/{run}/models/{variant}/seed-{seed}/training.csv",
        run=RUN,
        variant=ids,
        seed=PLAN.seeds_of(wildcards.lab),
    )


def sensitivities_of_lab(wildcards):
    """What every layer costs quantized alone, of the lab's variants whose making measures it."""
    ids = [variant.id for variant in PLAN.of_lab(wildcards.lab) if variant.method.measures_sensitivity]
    return expand(
        "results/{run}/models/{variant}/seed-{seed}/sensitivity.csv",
        run=RUN,
        variant=ids,
        seed=PLAN.seeds_of(wildcards.lab),
    )


def study_code(wildcards):
    """Entry modules of a study: its module, and the architectures that it opens, are loaded by name."""
    variants = PLAN.study_variants(wildcards.lab, wildcards.study)
    opened = {name for variant in variants for name in PLAN.code_of_architecture(variant)}
    built = {architecture_module(name) for name in PLAN.study(wildcards.lab, wildcards.study).built_architectures}
    return stage("study", study_module(wildcards.study), *sorted(opened | built))


def studied_models(wildcards):
    """The artifacts of the variants that a study looks into, in their order."""
    variants = PLAN.study_variants(wildcards.lab, wildcards.study)
    return [PLAN.model_file(variant, FIRST_SEED, RUN) for variant in variants]


def studies_of_lab(wildcards):
    """Tables of the lab's studies on this run's host."""
    return [
        f"results/{RUN}/studies/{HOST}/{wildcards.lab}/{study}.csv" for study in PLAN.lab(wildcards.lab).studies.chosen
    ]


def report_sources(*folders, lab=None):
    """Files of the report's sources, so that an edited sentence or label is written anew; without other labs' own."""
    others = set(PLAN.labs) - {lab}
    files = (file for folder in folders for file in sorted((PROJECT / "report" / folder).rglob("*")) if file.is_file())
    return [project_file(file.relative_to(PROJECT)) for file in files if file.name.partition(".")[0] not in others]


# The notebook imports these by itself; Snakemake and the import graph see only the stage.
REPORT_CODE = stage(
    "report",
    "compresslab.report.evidence",
    "compresslab.report.narrative",
    "compresslab.report.languages",
)


def figure_code(wildcards):
    """Entry modules of a figure, which is loaded by name."""
    return stage("figure", f"compresslab.report.figures.{wildcards.figure}")


def networks_of_lab(wildcards):
    """The lab's NumPy networks, trained with the first seed."""
    return [PLAN.model_file(variant.id, FIRST_SEED, RUN) for variant in PLAN.networks(wildcards.lab)]


def networks_of_figure(wildcards):
    """The lab's NumPy networks, for a figure that looks into them."""
    return networks_of_lab(wildcards) if "networks" in figure_needs(wildcards.figure)[1] else []


# The task of the variants whose answers a figure of a kind shows.
ANSWERS = {"predictions": "classification", "label_maps": "segmentation"}


def answering_figure(wildcards):
    """The variants of the lab whose answers a figure shows: none, for a figure of another task or without images."""
    tasks = {ANSWERS.get(kind) for kind in figure_needs(wildcards.figure)[1]}
    return [variant for variant in PLAN.of_lab(wildcards.lab) if variant.task in tasks]


def predictions_of_figure(wildcards):
    """Answers of the lab's variants, for a figure that shows single images."""
    wanted = answering_figure(wildcards)
    return [f"results/{RUN}/predictions/{variant.id}/seed-{FIRST_SEED}.npz" for variant in wanted]


def views_of_figure(wildcards):
    """Views of training images of the lab's variants with a distortion, for a figure that shows them."""
    wanted = PLAN.distorted(wildcards.lab) if "views" in figure_needs(wildcards.figure)[1] else []
    return [f"results/{RUN}/views/{variant.id}.npz" for variant in wanted]


def named(variants, files):
    """`model/variant=file` for a stage that has to know whose file it is."""
    return [f"{variant.model}/{variant.name}={file}" for variant, file in zip(variants, files)]


onstart:
    from collections import Counter
    from compresslab.console.slurm import array_mistake, keep_to_squeue
    from compresslab.console.summary import summary
    from compresslab.lineage.clock import give_present_time
    from compresslab.lineage.records import typical_seconds

    planned = list(workflow.dag.needrun_jobs())
    require_writable(*sorted({Path(file).parent for job in planned for file in job.output}))
    jobs = Counter(job.rule.name for job in planned if job.rule.name != "all")
    elsewhere = 0 if workflow.local_exec else workflow.nodes
    # Of a cluster nobody has said how many cores there are.
    cores = workflow.cores if workflow.local_exec else 1
    for line in summary(EXPERIMENT, jobs, typical_seconds(), cores, PLAN.on_gpu_only(), elsewhere):
        print(line, file=sys.stderr)
    arrays = getattr(workflow.executor_settings, "array_jobs", None) or ""
    if mistake := array_mistake(arrays, jobs, elsewhere):
        sys.exit(mistake)
    if getattr(workflow.executor_settings, "status_command", None) == "squeue":
        keep_to_squeue()
    if changed := give_present_time({Path(file) for job in planned for file in job.input}):
        which = f"{changed[0]}{f' and {len(changed) - 1} more' if changed[1:] else ''}"
        print(f"warning   times in the future, set to the present: {which}; was the clock wrong?", file=sys.stderr)
    # Every look at the ready jobs makes Snakemake 9.27 look again a second later, for the sake of its limit of 100 jobs
    # a second, and so does that look: after 300 jobs they keep a core busy. One machine has no rate to limit, and an
    # array has to be handed over whole.
    if workflow.local_exec or arrays:
        workflow.scheduler.job_rate_limiter = None
