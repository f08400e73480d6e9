# fetch -> import -> tensors. Each writes a small record with hashes of what it made: downstream rules depend on that
# record, so data made again with the same bytes rerun nothing.


rule fetch:
    message:
        "fetch {wildcards.dataset}"
    output:
        P.raw("{dataset}") / "fetched.json",
    log:
        LOGS / "fetch" / "{dataset}.log",
    params:
        spec=lambda w: PLAN.fetch_hash(w.dataset),
        code=code("data.phantom") if PLAN.config.mode == "demo" else "",
    resources:
        mem_mb=1000,
        runtime=240,
    retries: 2 if PLAN.config.mode == "paper" else 0
    conda:
        ENV
    shell:
        "{COVIDSEG} fetch {wildcards.dataset} 2> {log}"


rule canonical:
    message:
        "import {wildcards.dataset}"
    input:
        P.raw("{dataset}") / "fetched.json",
    output:
        record=P.canonical("{dataset}") / "import.json",
        store=P.canonical("{dataset}") / "slices.h5",
        table=P.canonical("{dataset}") / "slices.csv",
    log:
        LOGS / "import" / "{dataset}.log",
    params:
        spec=lambda w: PLAN.import_hash(w.dataset),
        code=lambda w: code("data.canonical", f"data.importers.{PLAN.dataset(w.dataset).importer}"),
    resources:
        mem_mb=4000,
        runtime=60,
    conda:
        ENV
    shell:
        "{COVIDSEG} import {wildcards.dataset} 2> {log}"


rule tensors:
    message:
        "tensors {wildcards.dataset} at {wildcards.size}x{wildcards.size}"
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
    params:
        spec=lambda w: PLAN.tensors_hash(w.dataset),
        code=code("data.tensors"),
    resources:
        mem_mb=2000,
        runtime=60,
    conda:
        ENV
    shell:
        "{COVIDSEG} tensors {wildcards.dataset} {wildcards.size} 2> {log}"
