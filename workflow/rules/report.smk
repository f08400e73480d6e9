# The pages with everything, their pictures, and the numbers that DVC tracks.


rule report:
    input:
        [P.table(paper, name, "csv") for paper, name in TABLES],
        [P.figure(paper, name, "png") for paper, name in FIGURES],
        [P.run(r) / "cases.csv" for r in RUNS],
        [j for r in RUNS for j in jobs_of(r, "run.json")],
        [P.claims(paper, "html") for paper in CLAIMS],
        [P.leaks(*checked, "json") for checked in LEAKS],
        [P.masks(run) / made for run in MASKS for made in ("masks.json", "volumes.csv")],
    output:
        # and a folder of pages, which the record lists: Snakemake would remove what others put into it
        page=P.report,
        record=P.report.with_suffix(".json"),
        plots=P.results / "plots.csv",
        tables=P.results / "tables.md",
    log:
        LOGS / "report.log",
    conda:
        ENV
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        spec=PLAN.fingerprints.report(),
        code=code(
            "report",
            *(
                m
                for paper, _, shown in PLAN.targets.exhibits()
                for m in shown.modules(PLAN, paper)
            ),
        ),
    message:
        "report"
    shell:
        "covidseg report 2> {log:q}"
