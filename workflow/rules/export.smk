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
        mem_mb=growing(2000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("export_numpy")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("export_numpy")(wildcards)),
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
        mem_mb=growing(2000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("export_onnx")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("export_onnx")(wildcards)),
    message:
        "Exporting to ONNX: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.export_onnx --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule export_litert:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.tflite",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/export-litert/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("export-litert")),
    conda:
        "../../envs/tensorflow.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("export_litert")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("export_litert")(wildcards)),
    message:
        "Exporting to LiteRT: {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.export_litert --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
