# Figures from saved predictions.


def figure_inputs(wildcards):
    runs = PLAN.figure_runs(wildcards.paper, wildcards.figure)
    return [P.run(r) / "cases.csv" for r in runs] + [j for r in runs for j in jobs_of(r, "predictions.h5")]


rule figure:
    message:
        "figure {wildcards.figure} of {wildcards.paper}"
    input:
        figure_inputs,
    output:
        png=report(
            P.figure("{paper}", "{figure}", "png"),
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{paper}",
            labels={"figure": "{figure}"},
        ),
        pdf=P.figure("{paper}", "{figure}", "pdf"),
    log:
        LOGS / "figure" / "{paper}" / "{figure}.log",
    params:
        spec=lambda w: PLAN.figure_hash(w.paper, w.figure),
        code=code("figures.qualitative"),
    resources:
        mem_mb=1000,
        runtime=20,
    conda:
        ENV
    shell:
        "{COVIDSEG} figure {wildcards.paper} {wildcards.figure} 2> {log}"
