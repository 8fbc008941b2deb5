# Figures, documents and the page that leads to them.


localrules:
    index,


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
        views=views_of_figure,
        data=lambda wildcards: data_of_lab(wildcards)[0],
        catalogues=report_sources("locale"),
    output:
        [
            report(
                f"results/{{run}}/figures/{{lab}}/{language}/{{figure}}.svg",
                caption="../../report/captions/figure.rst",
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
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.figure_slice(wildcards.lab, wildcards.figure),
        told=lambda wildcards, output: told(PLAN.figure_slice(wildcards.lab, wildcards.figure)),
        code=lambda wildcards: tokens(*figure_code(wildcards)),
        stamp=lambda wildcards: stamp(*figure_code(wildcards)),
        tables=lambda wildcards: f"results/{RUN}/tables/{wildcards.lab}",
        networks=lambda wildcards: named(PLAN.networks(wildcards.lab), networks_of_figure(wildcards)),
        predictions=lambda wildcards: named(answering_figure(wildcards), predictions_of_figure(wildcards)),
        views=lambda wildcards: named(PLAN.distorted(wildcards.lab), views_of_figure(wildcards)),
        out="results/{run}/figures/{lab}",
        source_folder=lambda wildcards: project_file("report"),
    message:
        "Drawing {wildcards.figure} of {wildcards.lab}"
    shell:
        "python -m compresslab.stages.figure --tables {params.tables} --data {input.data}"
        " --networks {params.networks} --predictions {params.predictions} --views {params.views} --out {params.out}"
        " --sources {params.source_folder}"
        " --spec {params.told:q} --code {params.stamp} --log {log}"


rule report:
    input:
        tables=expand("results/{{run}}/tables/{{lab}}/{table}.csv", table=TABLES),
        figures=lambda wildcards: expand(
            "results/{run}/figures/{lab}/{language}/{figure}.{suffix}",
            run=RUN,
            lab=wildcards.lab,
            language=wildcards.language,
            figure=PLAN.figures(wildcards.lab),
            suffix=["svg", "png"],
        ),
        cards=cards_of_lab,
        hosts=lambda wildcards: expand(
            "results/{run}/benchmarks/{host}/{lab}.host.json",
            run=RUN,
            host=HOSTS,
            lab=wildcards.lab,
        ),
        networks=networks_of_lab,
        sources=lambda wildcards: report_sources("notebooks", "narrative", "locale", "styles", lab=wildcards.lab),
    output:
        html=report(
            "results/{run}/reports/{lab}.{language}.html",
            caption="../../report/captions/document.rst",
            category="{lab}",
            labels={"figure": "report", "language": "{language}"},
        ),
        pdf="results/{run}/reports/{lab}.{language}.pdf",
        docx="results/{run}/reports/{lab}.{language}.docx",
        notebook="results/{run}/reports/{lab}.{language}.ipynb",
    log:
        "results/{run}/logs/report/{lab}.{language}.log",
    wildcard_constraints:
        language=any_of(LANGUAGES),
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
    params:
        spec=lambda wildcards: PLAN.subject_slice(wildcards.lab),
        told=lambda wildcards, output: told(PLAN.subject_slice(wildcards.lab)),
        code=lambda wildcards: tokens(*REPORT_CODE),
        stamp=lambda wildcards: stamp(*REPORT_CODE),
        tables=lambda wildcards: f"results/{RUN}/tables/{wildcards.lab}",
        figures=lambda wildcards: f"results/{RUN}/figures/{wildcards.lab}/{wildcards.language}",
        hosts=lambda wildcards: [f"{host}=results/{RUN}/benchmarks/{host}/{wildcards.lab}.host.json" for host in HOSTS],
        networks=lambda wildcards: named(PLAN.networks(wildcards.lab), networks_of_lab(wildcards)),
        source_folder=lambda wildcards: project_file("report"),
    message:
        "Writing the report of {wildcards.lab} in {wildcards.language}"
    shell:
        "python -m compresslab.stages.report --language {wildcards.language} --tables {params.tables}"
        " --cards {input.cards} --figures {params.figures} --hosts {params.hosts} --networks {params.networks}"
        " --sources {params.source_folder} --html {output.html} --pdf {output.pdf} --docx {output.docx}"
        " --notebook {output.notebook} --spec {params.told:q} --code {params.stamp} --log {log}"


rule index:
    input:
        reports=expand(rules.report.output, run=RUN, lab=PLAN.labs, language=LANGUAGES),
        tables=expand("results/{run}/tables/{lab}/{table}.csv", run=RUN, lab=PLAN.labs, table=TABLES),
        cards=[Path(prepared(dataset)).with_suffix(".json") for dataset in DATASETS],
        hosts=expand("results/{run}/benchmarks/{host}/{lab}.host.json", run=RUN, host=HOSTS, lab=PLAN.labs),
        sources=report_sources("locale", "styles"),
    output:
        f"results/{RUN}/reports/index.html",
    log:
        f"results/{RUN}/logs/index.log",
    conda:
        "../../envs/report.yaml"
    params:
        spec=PLAN.index_slice(),
        told=lambda wildcards, output: told(PLAN.index_slice()),
        code=lambda wildcards: tokens(*stage("index")),
        stamp=lambda wildcards: stamp(*stage("index")),
        run=lambda wildcards: f"results/{RUN}",
        data=lambda wildcards: f"data/prepared/{SOURCE}",
        source_folder=lambda wildcards: project_file("report"),
    message:
        "Writing the first page"
    shell:
        "python -m compresslab.stages.index --run {params.run} --data {params.data} --sources {params.source_folder}"
        " --out {output} --spec {params.told:q} --code {params.stamp} --log {log}"
