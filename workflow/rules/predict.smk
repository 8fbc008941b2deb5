# What every variant answers on the test split, class by image or class by pixel, and some of them after a codec.


rule predict:
    input:
        data=data_of_variant,
        model=model,
    output:
        "results/{run}/predictions/{variant}/seed-{seed}.npz",
    log:
        "results/{run}/logs/predict/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.answering("classification")),
    conda:
        lambda wildcards: PLAN.environment_file(wildcards.variant)
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.predict_slice(wildcards.variant),
        code=lambda wildcards: tokens(*predict_code(wildcards)),
        stamp=lambda wildcards: stamp(*predict_code(wildcards)),
    message:
        "Predicting with {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.predict --data {input.data} --model {input.model} --out {output}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule segment:
    input:
        data=data_of_variant,
        model=model,
    output:
        "results/{run}/predictions/{variant}/seed-{seed}.npz",
    log:
        "results/{run}/logs/segment/{variant}/seed-{seed}.log",
    wildcard_constraints:
        variant=any_of(PLAN.answering("segmentation")),
    conda:
        lambda wildcards: PLAN.environment_file(wildcards.variant)
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.predict_slice(wildcards.variant),
        code=lambda wildcards: tokens(*segment_code(wildcards)),
        stamp=lambda wildcards: stamp(*segment_code(wildcards)),
    message:
        "Segmenting with {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.segment --data {input.data} --model {input.model} --out {output}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule predict_reencoded:
    input:
        data=data_of_variant,
        model=lambda wildcards: PLAN.model_file(wildcards.variant, FIRST_SEED, RUN),
    output:
        "results/{run}/reencoded/{variant}.npz",
    log:
        "results/{run}/logs/predict-reencoded/{variant}.log",
    wildcard_constraints:
        variant=any_of(variant.id for lab in PLAN.labs for variant in PLAN.reencoded(lab)),
    conda:
        "../../envs/measure.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.reencoding_slice(wildcards.variant),
        code=lambda wildcards: tokens(*reencoding_code(wildcards)),
        stamp=lambda wildcards: stamp(*reencoding_code(wildcards)),
    message:
        "Predicting with {wildcards.variant} on re-encoded images"
    shell:
        "python -m compresslab.stages.predict_reencoded --data {input.data} --model {input.model} --out {output}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
