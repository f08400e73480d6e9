# Lung masks: the data set's own, the published U-Net's, the classical way, or those of a small U-Net trained here.


def lung_model(wildcards):
    """The phantom's lung network is a model like any other: trained by the rule train."""
    if PLAN.lungs(wildcards.dataset) != "phantom":
        return []
    return P.job(PHANTOM_LUNGS, *PLAN.run(PHANTOM_LUNGS).jobs[0]) / "model.safetensors"


rule lungs:
    message:
        "lung masks of {wildcards.dataset}"
    input:
        P.canonical("{dataset}") / "import.json",
        model=lung_model,
    output:
        record=P.canonical("{dataset}") / "lungs.json",
        store=P.canonical("{dataset}") / "lungs.h5",
    log:
        LOGS / "lungs" / "{dataset}.log",
    params:
        source=lambda w: PLAN.lungs(w.dataset),
        code=lambda w: code(*PLAN.lung_modules(w.dataset)),
    threads: PLAN.preset.threads
    resources:
        gpu=lambda w: device.gpus(PLAN.config.device) if PLAN.lung_modules(w.dataset)[1:] else 0,
        mem_mb=4000,
        runtime=120,
    conda:
        ENV
    shell:
        "{COVIDSEG} lungs {wildcards.dataset} 2> {log}"
