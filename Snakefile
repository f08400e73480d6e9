# covidseg: data -> lung masks -> tensors -> train -> score, masks -> tables, figures, claims -> report.
#
#   snakemake --cores 8 --resources gpu=2                 everything config.yaml asks for
#   snakemake --cores 8 --resources gpu=2 --config mode=paper preset=cpu
#   snakemake --workflow-profile workflow/profiles/slurm  on a cluster
#   snakemake -n                                          what would be made
#
# Rules follow stages; what is made is decided by covidseg.plan from config.yaml and workflow/papers.
include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/lungs.smk"
include: "workflow/rules/leaks.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/masks.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/report.smk"


# Downloads too: on a cluster, only the login node may have a way out.
localrules:
    all,
    data,
    models,
    fetch,


rule all:
    default_target: True
    input:
        P.report,


# The two coarser targets that DVC versions by themselves.
rule data:
    input:
        [P.tensors(*ds) / "tensors.json" for ds in DATA],
        [P.canonical(ds) / "lungs.json" for ds in PLAN.graph.all_datasets()],
        [PLAN.catalogue.split_path(split) for _, split in LEAKS],


rule models:
    input:
        [j for r in RUNS for j in jobs_of(r, "run.json")],
        [P.run(r) / "cases.csv" for r in RUNS],


onstart:
    begin()


onsuccess:
    if not handover.in_force():  # called by covidseg, which says itself what it did
        shell("covidseg show")
