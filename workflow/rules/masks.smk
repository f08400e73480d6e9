# Masks of whole scans and their volumes, by all models of a run that did not see the scan's labels. The masks are as many
# as the scans, so the record stands for them. A killed job goes on with the next scan.


rule masks:
    input:
        lambda w: jobs_of(masks_of(w)[0].id, "run.json"),
        lambda w: jobs_of(masks_of(w)[0].id, "model.safetensors"),
        lambda w: P.canonical(masks_of(w)[1]) / "import.json",
        lambda w: P.canonical(masks_of(w)[1]) / "lungs.json",
        split=lambda w: PLAN.catalogue.split_path(masks_of(w)[0].spec.split),
    output:
        record=P.masks("{paper}/{masks}") / "masks.json",
        volumes=P.masks("{paper}/{masks}") / "volumes.csv",
    log:
        LOGS / "masks" / "{paper}" / "{masks}.log",
    conda:
        ENV
    threads: lambda w: masks_of(w)[0].spec.threads
    resources:
        gpu=leases.gpus(PLAN.config.device),
        mem_mb=lambda w, attempt: attempt * masks_needs(w).memory_mb,
        runtime=lambda w: masks_needs(w).minutes,
    params:
        spec=lambda w: PLAN.fingerprints.masks(f"{w.paper}/{w.masks}"),
        code=code("inference.masks"),
    message:
        "masks {wildcards.paper}/{wildcards.masks}"
    shell:
        "covidseg masks {wildcards.paper:q}/{wildcards.masks:q} --gpus {resources.gpu} 2> {log:q}"
