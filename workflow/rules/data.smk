# fetch -> import -> tensors. Each writes a small record with hashes of what it made: downstream rules depend on that
# record, so data made again with the same bytes rerun nothing.


rule fetch:
    output:
        P.raw("{dataset}") / "fetched.json",
    log:
        LOGS / "fetch" / "{dataset}.log",
    retries: 2 if PLAN.config.mode == "paper" else None  # None: what the command line or profile says
    conda:
        ENV
    resources:
        mem_mb=growing(1000),
        runtime=growing(240),
    params:
        spec=lambda w: PLAN.fingerprints.fetch(w.dataset),
        code=code("data.phantom") if PLAN.config.mode == "demo" else "",
    message:
        "fetch {wildcards.dataset}"
    shell:
        "covidseg fetch {wildcards.dataset:q} 2> {log:q}"


rule canonical:
    input:
        lambda w: PLAN.graph.imported_from(w.dataset),
    output:
        record=P.canonical("{dataset}") / "import.json",
        store=P.canonical("{dataset}") / "slices.h5",
        table=P.canonical("{dataset}") / "slices.csv",
    log:
        LOGS / "import" / "{dataset}.log",
    conda:
        ENV
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        spec=lambda w: PLAN.fingerprints.import_(w.dataset),
        code=lambda w: code(
            "data.canonical", f"data.importers.{PLAN.dataset(w.dataset).importer}"
        ),
    message:
        "import {wildcards.dataset}"
    shell:
        "covidseg import {wildcards.dataset:q} 2> {log:q}"


# Splits that a rule of data/splits.py makes; written ones lie in workflow/splits.
rule split:
    input:
        lambda w: P.canonical(PLAN.catalogue.made_split(w.split)[0]) / "import.json",
    output:
        table=P.split("{split}"),
        record=P.split("{split}").with_suffix(".json"),
    log:
        LOGS / "split" / "{split}.log",
    conda:
        ENV
    resources:
        mem_mb=growing(500),
        runtime=growing(20),
    params:
        spec=lambda w: PLAN.fingerprints.split(w.split),
        code=code("data.splits"),
    message:
        "split {wildcards.split}"
    shell:
        "covidseg split {wildcards.split:q} 2> {log:q}"


rule tensors:
    input:
        P.canonical("{dataset}") / "import.json",
        P.canonical("{dataset}") / "lungs.json",
    output:
        record=P.tensors("{dataset}", "{size}") / "tensors.json",
        table=P.tensors("{dataset}", "{size}") / "slices.csv",
        image=P.tensors("{dataset}", "{size}") / "image.npy",
        lung=P.tensors("{dataset}", "{size}") / "lung.npy",
        label=P.tensors("{dataset}", "{size}") / "label.npy",
    log:
        LOGS / "tensors" / "{dataset}-{size}.log",
    conda:
        ENV
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        spec=lambda w: PLAN.fingerprints.tensors(w.dataset),
        code=code("data.tensors"),
    message:
        "tensors {wildcards.dataset} at {wildcards.size}x{wildcards.size}"
    shell:
        "covidseg tensors {wildcards.dataset:q} {wildcards.size:q} 2> {log:q}"
