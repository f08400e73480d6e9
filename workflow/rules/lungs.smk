# Lung masks: the data set's own, the published U-Net's, the classical way, or those of a small U-Net trained here.


rule lungs:
    input:
        P.canonical("{dataset}") / "import.json",
        model=lung_model,
    output:
        record=P.canonical("{dataset}") / "lungs.json",
        store=P.canonical("{dataset}") / "lungs.h5",
    log:
        LOGS / "lungs" / "{dataset}.log",
    conda:
        ENV
    threads: lambda w: PLAN.preset.threads if PLAN.catalogue.lung_source(w.dataset)["network"] else 1
    resources:
        gpu=lambda w: (
            leases.gpus(PLAN.config.device)
            if PLAN.catalogue.lung_source(w.dataset)["network"]
            else 0
        ),
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        source=lambda w: PLAN.fingerprints.lungs(w.dataset),
        code=lambda w: code(*PLAN.fingerprints.lung_modules(w.dataset)),
    message:
        "lung masks of {wildcards.dataset}"
    shell:
        "covidseg lungs {wildcards.dataset:q} --gpus {resources.gpu} 2> {log:q}"
