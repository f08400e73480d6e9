# Names shared by all rules. Paths come from covidseg.plan, the only place that builds one.
import re
import shlex
import sys

from pathlib import Path

from covidseg.jobs import leases
from covidseg.upkeep import content
from covidseg.upkeep import orphans
from covidseg.jobs import record
from covidseg.base.errors import UserError
from covidseg.plan import CHECKED, Plan, handover
from covidseg.upkeep.supplies import supplies

try:
    # Not by "configfile:", whose reader takes a key that stands twice and runs Python where a file asks for it. Here
    # "config" holds what --config says; that goes before the file.
    PLAN = Plan.load(handover.configuration(config))
    RUNS = PLAN.graph.all_runs()
    DATA = PLAN.graph.tensor_sets()
    TABLES = {(paper, name): table for paper, name, table in PLAN.targets.tables()}
    FIGURES = {(paper, name): figure for paper, name, figure in PLAN.targets.figures()}
    CLAIMS = list(PLAN.targets.claims())
    MASKS = PLAN.targets.masks()
    LEAKS = PLAN.graph.leak_sets()
    CONFIG = shlex.quote(str(PLAN.snapshot()))
    STATE = f"{CHECKED}={PLAN.state()} "
except UserError as e:
    sys.exit(f"covidseg: {e}")

P = PLAN.paths
# Rules call the verbs as a person would. In a conda environment the package is used from src, else from this Python.
CONDA = "conda" in {str(m) for m in workflow.deployment_settings.deployment_method}
PYTHON = "PYTHONPATH=src python" if CONDA else shlex.quote(sys.executable)
PYTHON = PYTHON.replace("{", "{{").replace("}", "}}")  # the prefix is a format
# What a scheduler runs is known to its queue, see covidseg.jobs.locks.
QUEUED = "COVIDSEG_QUEUED=1 " if workflow.remote_exec else ""
shell.prefix(
    f'covidseg() {{{{ {STATE}{QUEUED}{PYTHON} -m covidseg --config {CONFIG} "$@"; }}}}; '
)

LOGS = P.results / "logs"
# A demo has all its tables at its end, so its longest jobs go first and none is left to run alone. Elsewhere tables and
# figures come as soon as they can.
TRAINING_PRIORITY = int(PLAN.config.mode == "demo")
ENV = f"../../envs/{'cuda' if leases.asks_for_gpu(PLAN.config.device) else 'cpu'}.yaml"


def begin():
    """Before the first job: never beside the jobs of a Snakemake that was killed; what has to be downloaded is said."""
    try:
        slurm = workflow.executor_plugin.name == "slurm"
        orphans.begin(PLAN, slurm, Path(workflow.workdir_init))
        for supply in supplies(PLAN):
            if not supply.there:
                print(supply.words, file=sys.stderr)
    except UserError as e:
        sys.exit(f"covidseg: {e}")
    print(f"What each job says while it runs: {LOGS}", file=sys.stderr)


def one_of(names):
    return "|".join(re.escape(str(name)) for name in sorted(set(names))) or "none"


wildcard_constraints:
    dataset=one_of(PLAN.graph.all_datasets()),
    size=r"\d+",
    split=one_of(split for _, split in LEAKS),
    paper=one_of(PLAN.papers),
    run=one_of(name for paper in PLAN.papers.values() for name in paper.runs),
    masks=one_of(masks.partition("/")[2] for masks in MASKS),
    fold=r"\d+",
    seed=r"\d+",
    stage=one_of(name for run in RUNS for name in PLAN.run(run).jobs_before),
    table=one_of(name for _, name in TABLES),
    figure=one_of(name for _, name in FIGURES),


def code(*modules):
    """Fingerprint of the code behind a rule: comments and docstrings do not count."""
    return record.code_fingerprint(*modules)


def growing(amount):
    """Memory or minutes that grow with each attempt of a job."""
    return lambda wildcards, attempt: attempt * amount


def run_of(wildcards):
    return PLAN.run(f"{wildcards.paper}/{wildcards.run}")


def masks_of(wildcards):
    return PLAN.targets.masks_of(f"{wildcards.paper}/{wildcards.masks}")


def masks_needs(wildcards):
    return PLAN.needs.masks(masks_of(wildcards)[0].spec)


def needs_of(wildcards):
    """What each job of a training asks for in its first attempt."""
    run = run_of(wildcards)
    return PLAN.needs.training(run.spec, run.stage_jobs)


def training_inputs(wildcards):
    """What a training, or one of the stages before its last job, is made from."""
    run = run_of(wildcards)
    found = [P.tensors(*pair) / "tensors.json" for pair in run.tensors]
    found.append(PLAN.catalogue.split_path(run.spec.split))
    if content.settled(PLAN, run, wildcards.fold, wildcards.seed):
        found = [ancient(str(path)) for path in found]
    if run.spec.maps:
        found.append(P.canonical(run.spec.maps) / "import.json")
    stages = run.jobs_before
    done = stages.index(wildcards.stage) if hasattr(wildcards, "stage") else len(stages)
    if done:
        before = stages[done - 1]
        found.append(
            P.stage(run.id, wildcards.fold, wildcards.seed, before) / "stage.json"
        )
    else:
        for other in PLAN.resolver.referenced(run.id):
            found.append(P.job(other, wildcards.fold, wildcards.seed) / "run.json")
            pairs = PLAN.run(other).tensors
            found += [P.tensors(*pair) / "tensors.json" for pair in pairs]
    return list(dict.fromkeys(found))


def jobs_of(run, name):
    return [P.job(run, fold, seed) / name for fold, seed in PLAN.run(run).jobs]


class Shown:
    """In a rule's message, "{SHOWN:paper/run/}" says which tables and figures wait for a run, and its epochs.

    The stroke at the end keeps a run's name whole: Snakemake takes a last u or q for an instruction on quoting.
    """

    def __format__(self, run):
        run = run.removesuffix("/")
        said = [PLAN.graph.shown_in(run), PLAN.run(run).epochs_in_words]
        return "; ".join(filter(None, said))


SHOWN = Shown()


def lung_model(wildcards):
    """A lung network of the project's own is a model like any other: trained by the rule train."""
    if (run := PLAN.catalogue.lung_source(wildcards.dataset)["run"]) is None:
        return []
    return P.job(run, *PLAN.run(run).jobs[0]) / "model.safetensors"


def claims_inputs(wildcards):
    runs = PLAN.targets.claim_runs(wildcards.paper)
    return [P.run(r) / "cases.csv" for r in runs] + [
        j for r in runs for j in jobs_of(r, "run.json")
    ]


class Made:
    """Inputs, code and resources of a table or figure, which follow from its kind."""

    def __init__(self, kind):
        self.of = {"table": TABLES, "figure": FIGURES}[kind]
        self.kind = kind

    def exhibit(self, w):
        return self.of[w.paper, getattr(w, self.kind)]

    def inputs(self, w):
        return self.exhibit(w).reads(PLAN.targets, w.paper).files(P)

    def code(self, w):
        return code(f"{self.kind}s", *self.exhibit(w).modules(PLAN, w.paper))

    def needs(self, w):
        return self.exhibit(w).needs(PLAN, w.paper)
