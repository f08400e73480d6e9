# One training: a run, a fold, a seed; for a method in several jobs, as the rounds of self-training, its stages, each
# after the one before it, and then the training's last job. A killed job goes on from its resume state, which lies beside
# the outputs and is not declared, because declared outputs of a failed job are removed.


rule stage:
    input:
        training_inputs,
    output:
        P.stage("{paper}/{run}", "{fold}", "{seed}", "{stage}") / "stage.json",
    log:
        LOGS / "stage" / "{paper}" / "{run}-fold{fold}-seed{seed}-{stage}.log",
    priority: TRAINING_PRIORITY
    conda:
        ENV
    threads: lambda w: run_of(w).spec.threads
    resources:
        gpu=leases.gpus(PLAN.config.device),
        mem_mb=lambda w, attempt: attempt * needs_of(w).memory_mb,
        runtime=lambda w: needs_of(w).minutes,
    params:
        spec=lambda w: run_of(w).hash,
        code=lambda w: code(*PLAN.fingerprints.train_modules(run_of(w).spec)),
    message:
        "{wildcards.stage} of {wildcards.paper}/{wildcards.run} fold {wildcards.fold} seed {wildcards.seed}"
        " ({SHOWN:{wildcards.paper}/{wildcards.run}/})"
    shell:
        "covidseg stage {wildcards.paper:q}/{wildcards.run:q} {wildcards.stage:q}"
        " --fold {wildcards.fold:q} --seed {wildcards.seed:q} --gpus {resources.gpu} 2> {log:q}"


rule train:
    input:
        training_inputs,
    output:
        record=P.job("{paper}/{run}", "{fold}", "{seed}") / "run.json",
        model=P.job("{paper}/{run}", "{fold}", "{seed}") / "model.safetensors",
        history=P.job("{paper}/{run}", "{fold}", "{seed}") / "history.csv",
        predictions=P.job("{paper}/{run}", "{fold}", "{seed}") / "predictions.h5",
    log:
        LOGS / "train" / "{paper}" / "{run}-fold{fold}-seed{seed}.log",
    priority: TRAINING_PRIORITY
    conda:
        ENV
    threads: lambda w: run_of(w).spec.threads
    resources:
        gpu=lambda w: needs_of(w).gpus,
        mem_mb=lambda w, attempt: attempt * needs_of(w).memory_mb,
        runtime=lambda w: needs_of(w).minutes,  # does not grow: a training that is cut off goes on
    params:
        spec=lambda w: run_of(w).hash,
        code=lambda w: code(*PLAN.fingerprints.train_modules(run_of(w).spec)),
    message:
        "train {wildcards.paper}/{wildcards.run} fold {wildcards.fold} seed {wildcards.seed}"
        " ({SHOWN:{wildcards.paper}/{wildcards.run}/})"
    shell:
        "covidseg train {wildcards.paper:q}/{wildcards.run:q} --fold {wildcards.fold:q} --seed {wildcards.seed:q} --gpus {resources.gpu} 2> {log:q}"
