# What stands on both sides of a split: patients, volumes, near-duplicate slices; and what the plan's other data sets share
# with its test cases.


rule leaks:
    input:
        lambda w: [
            P.canonical(name) / made
            for name in [w.dataset, *PLAN.graph.other_training_sets(w.dataset)]
            for made in ("import.json", "lungs.json")
        ],
        split=lambda w: PLAN.catalogue.split_path(w.split),
    output:
        pairs=P.leaks("{dataset}", "{split}", "csv"),
        summary=P.leaks("{dataset}", "{split}", "json"),
    log:
        LOGS / "leaks" / "{dataset}-{split}.log",
    conda:
        ENV
    resources:
        mem_mb=growing(1000),
        runtime=growing(20),
    params:
        spec=lambda w: PLAN.fingerprints.leaks(w.dataset, w.split),
        code=code("leaks"),
    message:
        "leaks of {wildcards.dataset}, split {wildcards.split}"
    shell:
        "covidseg leaks {wildcards.dataset:q} {wildcards.split:q} 2> {log:q}"
