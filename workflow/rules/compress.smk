# Methods that make a variant smaller: quantization without further training.


rule quantize_numpy:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.npz",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/quantize-numpy/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("quantize-numpy")),
    conda:
        "../../envs/numpy.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=method_slice,
        code=tokens(*stage("quantize_numpy")),
        stamp=stamp(*stage("quantize_numpy")),
    message:
        "Quantizing {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.quantize_numpy --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule ptq_onnx:
    input:
        data=data_of_variant,
        parent=parent_model,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.onnx",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
    log:
        "results/{run}/logs/ptq-onnx/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("ptq-onnx")),
    conda:
        "../../envs/onnx.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=method_slice,
        code=tokens(*stage("ptq_onnx")),
        stamp=stamp(*stage("ptq_onnx")),
    message:
        "Quantizing {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.ptq_onnx --data {input.data} --parent {input.parent}"
        " --model {output.model} --card {output.card}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
