# One training: a run, a fold, a seed. A killed job goes on from its resume state, which lies beside the outputs and is
# not declared, because declared outputs of a failed job are removed.


rule train:
    input:
        tensors=lambda w: P.tensors(run_of(w).spec.dataset, run_of(w).spec.input.size)
        / "tensors.json",
        split=lambda w: PLAN.split_path(run_of(w).spec.split),
    output:
        record=P.job("{paper}/{run}", "{fold}", "{seed}") / "run.json",
        model=P.job("{paper}/{run}", "{fold}", "{seed}") / "model.safetensors",
        history=P.job("{paper}/{run}", "{fold}", "{seed}") / "history.csv",
        predictions=P.job("{paper}/{run}", "{fold}", "{seed}") / "predictions.h5",
    log:
        LOGS / "train" / "{paper}" / "{run}-fold{fold}-seed{seed}.log",
    conda:
        ENV
    threads: lambda w: run_of(w).spec.threads
    resources:
        gpu=device.gpus(PLAN.config.device),
        mem_mb=lambda w, attempt: attempt * PLAN.memory_mb(run_of(w).spec),
        runtime=lambda w: PLAN.minutes(run_of(w).spec),
    params:
        spec=lambda w: run_of(w).hash,
        code=lambda w: code(*PLAN.train_modules(run_of(w).spec)),
    message:
        "train {wildcards.paper}/{wildcards.run} fold {wildcards.fold} seed {wildcards.seed}"
        " ({SHOWN:{wildcards.paper}/{wildcards.run}})"
    shell:
        "covidseg train {wildcards.paper:q}/{wildcards.run:q} --fold {wildcards.fold:q} --seed {wildcards.seed:q} 2> {log:q}"
