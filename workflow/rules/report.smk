# One page with everything, and the numbers that DVC tracks.


rule report:
    message:
        "report"
    input:
        [P.table(paper, name, "csv") for paper, name in TABLES],
        [P.figure(paper, name, "png") for paper, name in FIGURES],
    output:
        page=P.report,
        metrics=P.results / "metrics.json",
    log:
        LOGS / "report.log",
    params:
        spec=PLAN.report_hash(),
        code=code("report"),
    resources:
        mem_mb=1000,
        runtime=20,
    conda:
        ENV
    shell:
        "{COVIDSEG} report 2> {log}"
