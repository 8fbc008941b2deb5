# Datasets: raw files from upstream or a mirror, or generated; then one format for all.


localrules:
    fetch,


rule fetch:
    output:
        "data/raw/{source}/{dataset}/fetched.json",
    log:
        "data/logs/fetch/{source}/{dataset}.log",
    conda:
        "../../envs/numpy.yaml"
    params:
        spec=lambda wildcards: PLAN.data_slice(wildcards.dataset),
        code=lambda wildcards: tokens(*dataset_code("fetch")(wildcards)),
        stamp=lambda wildcards: stamp(*dataset_code("fetch")(wildcards)),
    message:
        "Fetching {wildcards.dataset} from {wildcards.source}"
    shell:
        "python -m compresslab.stages.fetch --out {output} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule prepare:
    input:
        lambda wildcards: [] if wildcards.source == "embedded" else rules.fetch.output,
    output:
        data="data/prepared/{source}/{dataset}.npz",
        card="data/prepared/{source}/{dataset}.json",
    log:
        "data/logs/prepare/{source}/{dataset}.log",
    conda:
        "../../envs/numpy.yaml"
    params:
        spec=lambda wildcards: PLAN.preparation_slice(wildcards.dataset),
        code=lambda wildcards: tokens(*dataset_code("prepare")(wildcards)),
        stamp=lambda wildcards: stamp(*dataset_code("prepare")(wildcards)),
        raw=lambda wildcards: (
            ""
            if wildcards.source == "embedded"
            else f"--raw data/raw/{wildcards.source}/{wildcards.dataset}/fetched.json"
        ),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m compresslab.stages.prepare {params.raw} --out {output.data}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
