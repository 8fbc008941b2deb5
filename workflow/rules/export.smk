# Methods that write a trained network in another format.


rule export_numpy:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.npz",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/export-numpy/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("export-numpy")),
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*stage("export_numpy", PLAN.architecture_module(wildcards.variant))),
        stamp=lambda wildcards: stamp(*stage("export_numpy", PLAN.architecture_module(wildcards.variant))),
    message:
        "Exporting to NumPy: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.export_numpy --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule export_onnx:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.onnx",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/export-onnx/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("export-onnx")),
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*stage("export_onnx", PLAN.architecture_module(wildcards.variant))),
        stamp=lambda wildcards: stamp(*stage("export_onnx", PLAN.architecture_module(wildcards.variant))),
    message:
        "Exporting to ONNX: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.export_onnx --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
