# What a variant costs, how its layers differ, and how fast it is on a host.


rule layers:
    input:
        data=data_of_variant,
        model=model,
        reference=lambda wildcards: PLAN.model_file(wildcards.reference, wildcards.seed, RUN),
    output:
        "results/{run}/layers/{variant}/against/{reference}/seed-{seed}.csv",
    log:
        "results/{run}/logs/layers/{variant}/against/{reference}/seed-{seed}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.layers_slice(wildcards.variant, wildcards.reference),
        code=lambda wildcards: tokens(*layers_code(wildcards)),
        stamp=lambda wildcards: stamp(*layers_code(wildcards)),
    message:
        "Comparing the layers of {wildcards.variant} with {wildcards.reference}, seed {wildcards.seed}"
    shell:
        "python -m compresslab.stages.layers --data {input.data} --model {input.model} --reference {input.reference}"
        " --out {output} --spec {params.spec:q} --code {params.stamp} --log {log}"


rule cost:
    input:
        data=data_of_variant,
        model=lambda wildcards: PLAN.model_file(wildcards.variant, FIRST_SEED, RUN),
    output:
        "results/{run}/costs/{variant}.json",
    log:
        "results/{run}/logs/cost/{variant}.log",
    conda:
        lambda wildcards: PLAN.environment_file(wildcards.variant)
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.cost_slice(wildcards.variant),
        code=lambda wildcards: tokens(*cost_code(wildcards)),
        stamp=lambda wildcards: stamp(*cost_code(wildcards)),
    message:
        "Counting what {wildcards.variant} costs"
    shell:
        "python -m compresslab.stages.cost --data {input.data} --model {input.model} --out {output}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"


rule benchmark:
    input:
        data=data_of_lab,
        models=benchmarked_models,
    output:
        table="results/{run}/benchmarks/{host}/{lab}.csv",
        samples="results/{run}/benchmarks/{host}/{lab}.samples.npz",
        audit="results/{run}/benchmarks/{host}/{lab}.audit.csv",
        host="results/{run}/benchmarks/{host}/{lab}.host.json",
        skipped="results/{run}/benchmarks/{host}/{lab}.skipped.csv",
        gpu_states="results/{run}/benchmarks/{host}/{lab}.gpu_states.csv",
    log:
        "results/{run}/logs/benchmark/{host}/{lab}.log",
    wildcard_constraints:
        # Sessions of other hosts are brought here as files; no rule can make them.
        host=re.escape(HOST),
    priority: 10
    conda:
        "../../envs/measure.yaml"
    # More than any machine has: scaled down to --cores, so that nothing runs beside a session.
    threads: 9999
    resources:
        mem_mb=growing(6000),
    params:
        data=benchmarked_data,
        spec=lambda wildcards: PLAN.benchmark_slice(wildcards.lab),
        told=lambda wildcards, output: told(PLAN.benchmark_slice(wildcards.lab)),
        code=lambda wildcards: tokens(*benchmark_code(wildcards)),
        stamp=lambda wildcards: stamp(*benchmark_code(wildcards)),
    message:
        "Measuring the speed of {wildcards.lab} on {wildcards.host}, alone on the machine"
    shell:
        "python -m compresslab.stages.benchmark --data {params.data} --models {input.models}"
        " --out {output.table} --samples {output.samples} --audit {output.audit} --host {output.host}"
        " --skipped {output.skipped} --gpu-states {output.gpu_states}"
        " --spec {params.told:q} --code {params.stamp} --log {log}"


rule study:
    input:
        models=studied_models,
    output:
        "results/{run}/studies/{host}/{lab}/{study}.csv",
    log:
        "results/{run}/logs/study/{host}/{lab}/{study}.log",
    wildcard_constraints:
        host=re.escape(HOST),
    priority: 10
    conda:
        "../../envs/measure.yaml"
    # More than any machine has: scaled down to --cores, so that nothing runs beside a study.
    threads: 9999
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.study_slice(wildcards.lab, wildcards.study),
        code=lambda wildcards: tokens(*study_code(wildcards)),
        stamp=lambda wildcards: stamp(*study_code(wildcards)),
    message:
        "Studying {wildcards.study} of {wildcards.lab} on {wildcards.host}, alone on the machine"
    shell:
        "python -m compresslab.stages.study --models {input.models} --out {output}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
