# Models that the user brings. What a file holds is part of the job's slice, by its hash; where it lies is not. So its path
# is no input, whose change would make everything anew, but a param that Snakemake does not record.


rule import_torch:
    input:
        data=data_of_variant,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/import-torch/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("import", "torch")),
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=growing(4000),
    params:
        spec=import_slice,
        file=imported_file,
        code=lambda wildcards: tokens(*method_code("import_torch")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("import_torch")(wildcards)),
    message:
        "Importing weights: {wildcards.variant}"
    shell:
        "python -m compresslab.stages.import_torch --data {input.data} --file {params.file:q}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule import_onnx:
    input:
        data=data_of_variant,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.onnx",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/import-onnx/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("import", "onnx")),
    conda:
        "../../envs/onnx.yaml"
    resources:
        mem_mb=growing(4000),
    params:
        spec=import_slice,
        file=imported_file,
        code=lambda wildcards: tokens(*method_code("import_onnx")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("import_onnx")(wildcards)),
    message:
        "Importing an ONNX model: {wildcards.variant}"
    shell:
        "python -m compresslab.stages.import_onnx --data {input.data} --file {params.file:q}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
