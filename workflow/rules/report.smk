# Figures, documents and the page that leads to them.


rule figure:
    input:
        tables=lambda wildcards: expand(
            "results/{run}/tables/{lab}/{table}.csv",
            run=RUN,
            lab=wildcards.lab,
            table=figure_needs(wildcards.figure)[0],
        ),
        networks=networks_of_figure,
        predictions=predictions_of_figure,
        data=data_of_lab,
        catalogues=report_sources("locale"),
    output:
        [
            report(
                f"results/{{run}}/figures/{{lab}}/{language}/{{figure}}.svg",
                category="{lab}",
                labels={"figure": "{figure}", "language": language},
            )
            for language in LANGUAGES
        ],
        expand(
            "results/{{run}}/figures/{{lab}}/{language}/{{figure}}.png",
            language=LANGUAGES,
        ),
    log:
        "results/{run}/logs/figure/{lab}/{figure}.log",
    wildcard_constraints:
        figure=any_of(FIGURES),
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda wildcards: PLAN.figure_slice(wildcards.lab, wildcards.figure),
        code=lambda wildcards: tokens(*figure_code(wildcards)),
        stamp=lambda wildcards: stamp(*figure_code(wildcards)),
        tables="results/{run}/tables/{lab}",
        networks=lambda wildcards: named(
            PLAN.networks(wildcards.lab), networks_of_figure(wildcards)
        ),
        predictions=lambda wildcards: named(
            PLAN.of_lab(wildcards.lab), predictions_of_figure(wildcards)
        ),
        out="results/{run}/figures/{lab}",
    message:
        "Drawing {wildcards.figure} of {wildcards.lab}"
    shell:
        "python -m compresslab.stages.figure --tables {params.tables} --data {input.data}"
        " --networks {params.networks} --predictions {params.predictions} --out {params.out}"
        " --spec {params.spec:q} --code {params.stamp} --log {log}"
