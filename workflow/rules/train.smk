# Methods that start from data.


rule train_torch:
    input:
        data=data_of_variant,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/train-torch/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("train-torch")),
    conda:
        "../../envs/torch.yaml"
    threads: lambda wildcards: PLAN.variants[wildcards.variant].method.threads
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*stage("train_torch", PLAN.architecture_module(wildcards.variant))),
        stamp=lambda wildcards: stamp(*stage("train_torch", PLAN.architecture_module(wildcards.variant))),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=lambda wildcards: PLAN.variants[wildcards.variant].method.threads,
    message:
        "Training {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.train_torch --data {input.data} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"
