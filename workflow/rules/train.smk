# Methods that start from data, and what an augmentation shows them of it.


rule train_numpy:
    input:
        data=data_of_variant,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.npz",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/train-numpy/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("train-numpy")),
    conda:
        "../../envs/numpy.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("train_numpy")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("train_numpy")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Training {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.train_numpy --data {input.data} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


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
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("train_torch")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("train_torch")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Training {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.train_torch --data {input.data} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule train_tensorflow:
    input:
        data=data_of_variant,
    output:
        model="results/{run}/models/{variant}/seed-{seed}/model.safetensors",
        card="results/{run}/models/{variant}/seed-{seed}/card.json",
        training="results/{run}/models/{variant}/seed-{seed}/training.csv",
    log:
        "results/{run}/logs/train-tensorflow/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.made_by("train-tensorflow")),
    conda:
        "../../envs/tensorflow.yaml"
    threads: threads_of_training
    resources:
        mem_mb=growing(4000),
        runtime=growing(240),
    params:
        spec=method_slice,
        code=lambda wildcards: tokens(*method_code("train_tensorflow")(wildcards)),
        stamp=lambda wildcards: stamp(*method_code("train_tensorflow")(wildcards)),
        state="results/{run}/state/{variant}/seed-{seed}",
        threads=threads_of_training,
    message:
        "Training {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.train_tensorflow --data {input.data} --state {params.state}"
        " --model {output.model} --card {output.card} --training {output.training}"
        " --threads {params.threads} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule views:
    input:
        data=data_of_variant,
    output:
        "results/{run}/views/{variant}.npz",
    log:
        "results/{run}/logs/views/{variant}.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.views_slice(wildcards.variant),
        code=lambda wildcards: tokens(*stage("views")),
        stamp=lambda wildcards: stamp(*stage("views")),
    message:
        "Showing what {wildcards.variant} is trained on"
    shell:
        "python -m compresslab.stages.views --data {input.data} --out {output}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
