# One page with everything, and the numbers that DVC tracks.


rule report:
    input:
        [P.table(paper, name, "csv") for paper, name in TABLES],
        [P.figure(paper, name, "png") for paper, name in FIGURES],
        [P.leaks(*checked, "json") for checked in LEAKS],
    output:
        page=P.report,
        metrics=P.results / "metrics.json",
    log:
        LOGS / "report.log",
    conda:
        ENV
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        spec=PLAN.report_hash(),
        code=code("report"),
    message:
        "report"
    shell:
        "covidseg report 2> {log}"
