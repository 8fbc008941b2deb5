# Datasets: raw files from upstream or a mirror, or generated; then one format for all.


localrules:
    fetch,


rule fetch:
    output:
        "data/raw/{source}/{raw}/fetched.json",
    log:
        "data/logs/fetch/{source}/{raw}.log",
    conda:
        "../../envs/numpy.yaml"
    params:
        spec=lambda wildcards: PLAN.data_slice(wildcards.raw),
        code=lambda wildcards: tokens(*fetch_code(wildcards)),
        stamp=lambda wildcards: stamp(*fetch_code(wildcards)),
    message:
        "Fetching {wildcards.raw} from {wildcards.source}"
    shell:
        "python -m compresslab.stages.fetch --out {output} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule prepare:
    input:
        raw_files,
    output:
        data="data/prepared/{source}/{dataset}.npz",
        card="data/prepared/{source}/{dataset}.json",
    log:
        "data/logs/prepare/{source}/{dataset}.log",
    conda:
        "../../envs/numpy.yaml"
    params:
        spec=lambda wildcards: PLAN.preparation_slice(wildcards.dataset),
        code=lambda wildcards: tokens(*prepare_code(wildcards)),
        stamp=lambda wildcards: stamp(*prepare_code(wildcards)),
        raw=lambda wildcards: " ".join(["--raw", *raw_files(wildcards)] if raw_files(wildcards) else []),
    message:
        "Preparing {wildcards.dataset}"
    shell:
        "python -m compresslab.stages.prepare {params.raw} --out {output.data}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
