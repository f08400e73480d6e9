# Figures from saved predictions and from the canonical store.


rule figure:
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
    conda:
        ENV
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        spec=lambda w: PLAN.fingerprints.figure(w.paper, w.figure),
        code=code("figures"),
    message:
        "figure {wildcards.figure} of {wildcards.paper}"
    shell:
        "covidseg figure {wildcards.paper:q} {wildcards.figure:q} 2> {log:q}"
