# What every variant answers on the test split.


rule predict:
    input:
        data=data_of_variant,
        model=model,
    output:
        "results/{run}/predictions/{variant}/seed-{seed}.npz",
    log:
        "results/{run}/logs/predict/{variant}/seed-{seed}.log",
    conda:
        lambda wildcards: PLAN.environment_file(wildcards.variant)
    resources:
        mem_mb=2000,
    params:
        spec=lambda wildcards: PLAN.predict_slice(wildcards.variant),
        code=lambda wildcards: tokens(*predict_code(wildcards)),
        stamp=lambda wildcards: stamp(*predict_code(wildcards)),
    message:
        "Predicting with {wildcards.variant}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.predict --data {input.data} --model {input.model} --out {output}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
