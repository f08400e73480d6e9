# Scores of a run's test predictions, all folds and seeds, under its tables' protocols and the standard one.


rule score:
    input:
        lambda w: jobs_of(run_of(w).id, "predictions.h5"),
        lambda w: P.canonical(run_of(w).spec.dataset) / "import.json",
    output:
        cases=P.run("{paper}/{run}") / "cases.csv",
        summary=P.run("{paper}/{run}") / "summary.json",
    log:
        LOGS / "score" / "{paper}" / "{run}.log",
    conda:
        ENV
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        spec=lambda w: PLAN.fingerprints.score(run_of(w).id),
        code=code("evaluate.predictions"),
    message:
        "score {wildcards.paper}/{wildcards.run}"
    shell:
        "covidseg score {wildcards.paper:q}/{wildcards.run:q} 2> {log:q}"
