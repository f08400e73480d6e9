# Masks of whole scans and their volumes, by all models of a run that did not see the scan's labels. The masks are as many
# as the scans, so the record stands for them. A killed job goes on with the next scan.


rule masks:
    input:
        lambda w: jobs_of(run_of(w).id, "run.json"),
        lambda w: jobs_of(run_of(w).id, "model.safetensors"),
        lambda w: P.canonical(run_of(w).spec.dataset) / "import.json",
        lambda w: P.canonical(run_of(w).spec.dataset) / "lungs.json",
        split=lambda w: PLAN.catalogue.split_path(run_of(w).spec.split),
    output:
        record=P.masks("{paper}/{run}") / "masks.json",
        volumes=P.masks("{paper}/{run}") / "volumes.csv",
    log:
        LOGS / "masks" / "{paper}" / "{run}.log",
    conda:
        ENV
    threads: lambda w: run_of(w).spec.threads
    resources:
        gpu=leases.gpus(PLAN.config.device),
        mem_mb=lambda w, attempt: attempt * PLAN.needs.masks(run_of(w).spec).memory_mb,
        runtime=lambda w: PLAN.needs.masks(run_of(w).spec).minutes,
    params:
        spec=lambda w: PLAN.fingerprints.masks(run_of(w).id),
        code=code("inference.masks"),
    message:
        "masks {wildcards.paper}/{wildcards.run}"
    shell:
        "covidseg masks {wildcards.paper:q}/{wildcards.run:q} --gpus {resources.gpu} 2> {log:q}"
