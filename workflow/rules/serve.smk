# The demo page over a run. It makes no file: only who asks for it gets it, and it lasts until somebody ends it.
from compresslab.artifacts import canonical_json


localrules:
    serve,


rule serve:
    input:
        models=[PLAN.model_file(variant, FIRST_SEED, RUN) for variant in PLAN.variants],
        tables=expand("results/{run}/tables/{lab}/{table}.csv", run=RUN, lab=PLAN.labs, table=TABLES),
        data=[prepared(dataset) for dataset in DATASETS],
        cards=[Path(prepared(dataset)).with_suffix(".json") for dataset in DATASETS],
        catalogues=report_sources("locale"),
    log:
        f"results/{RUN}/logs/serve.log",
    conda:
        "../../envs/demo.yaml"
    params:
        spec=canonical_json({"scale": EXPERIMENT.scale}),
        run=lambda wildcards: f"results/{RUN}",
        source_folder=lambda wildcards: project_file("report"),
    message:
        "Showing the run on a page; Ctrl-C ends it"
    shell:
        "python -m compresslab.stages.serve --run {params.run} --sources {params.source_folder}"
        " --spec {params.spec:q} --log {log}"
