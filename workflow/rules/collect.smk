# All numbers of a lab in tidy tables, and those of all labs together.


localrules:
    merge,


rule collect:
    input:
        cards=cards_of_lab,
        predictions=predictions_of_lab,
        layers=layers_of_lab,
        trainings=trainings_of_lab,
        sensitivities=sensitivities_of_lab,
        costs=lambda wildcards: expand(
            rules.cost.output,
            run=RUN,
            variant=[variant.id for variant in PLAN.weighed(wildcards.lab)],
        ),
        sessions=lambda wildcards: expand(
            [
                "results/{run}/benchmarks/{host}/{lab}.csv",
                "results/{run}/benchmarks/{host}/{lab}.samples.npz",
                "results/{run}/benchmarks/{host}/{lab}.audit.csv",
                "results/{run}/benchmarks/{host}/{lab}.skipped.csv",
                "results/{run}/benchmarks/{host}/{lab}.gpu_states.csv",
            ],
            run=RUN,
            host=HOSTS,
            lab=wildcards.lab,
        ),
        studies=studies_of_lab,
        reencoded=reencoded_of_lab,
        claims=project_file("report/claims.yaml"),
    output:
        expand("results/{{run}}/tables/{{lab}}/{table}.csv", table=TABLES),
    log:
        "results/{run}/logs/collect/{lab}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.tables_slice(wildcards.lab),
        told=lambda wildcards, output: told(PLAN.tables_slice(wildcards.lab)),
        code=lambda wildcards: tokens(*stage("collect")),
        stamp=lambda wildcards: stamp(*stage("collect")),
        run="results/{run}",
        out="results/{run}/tables/{lab}",
    message:
        "Collecting the tables of {wildcards.lab}"
    shell:
        "python -m compresslab.stages.collect --run {params.run} --cards {input.cards} --claims {input.claims}"
        " --out {params.out} --spec {params.told:q} --code {params.stamp} --log {log}"


rule merge:
    input:
        expand(
            "results/{run}/tables/{lab}/{table}.csv",
            run=RUN,
            lab=PLAN.labs,
            table=TABLES,
        ),
    output:
        report(
            expand("results/{run}/tables/{table}.csv", run=RUN, table=TABLES),
            caption="../../report/captions/table.rst",
            category="tables",
        ),
    log:
        f"results/{RUN}/logs/merge.log",
    conda:
        "../../envs/report.yaml"
    params:
        code=lambda wildcards: tokens(*stage("merge")),
        stamp=lambda wildcards: stamp(*stage("merge")),
        labs=expand("results/{run}/tables/{lab}", run=RUN, lab=PLAN.labs),
        out=subpath(output[0], parent=True),
    message:
        "Merging the tables of all labs"
    shell:
        "python -m compresslab.stages.merge --labs {params.labs} --out {params.out} --code {params.stamp} --log {log}"
