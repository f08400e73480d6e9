# Figures from saved predictions and from the canonical store.


FIGURE = Made("figure")


rule figure:
    input:
        FIGURE.inputs,
    output:
        png=report(
            P.figure("{paper}", "{figure}", "png"),
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{paper}",
            labels={"figure": "{figure}"},
        ),
        pdf=P.figure("{paper}", "{figure}", "pdf"),
        record=P.figure("{paper}", "{figure}", "json"),
    log:
        LOGS / "figure" / "{paper}" / "{figure}.log",
    conda:
        ENV
    threads: lambda w: FIGURE.needs(w).threads
    resources:
        gpu=lambda w: FIGURE.needs(w).gpus,
        mem_mb=lambda w, attempt: attempt * FIGURE.needs(w).memory_mb,
        runtime=lambda w, attempt: attempt * FIGURE.needs(w).minutes,
    params:
        spec=lambda w: PLAN.fingerprints.figure(w.paper, w.figure),
        code=FIGURE.code,
    message:
        "figure {wildcards.figure} of {wildcards.paper}"
    shell:
        "covidseg figure {wildcards.paper:q} {wildcards.figure:q} 2> {log:q}"
