"""The command line: one verb per step. Settings live in the YAML files; verbs take names and paths only."""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from covidseg import __version__

if TYPE_CHECKING:
    from covidseg.plan import Plan

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Reproducible benchmark for lung-infection segmentation in chest CT. Settings: config.yaml and workflow/.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"covidseg {__version__}")
        raise typer.Exit


DatasetName = Annotated[str, typer.Argument(metavar="DATASET", help="A name in workflow/datasets.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run, as ssanet/m4.")]
PaperName = Annotated[str, typer.Argument(metavar="PAPER", help="A name in workflow/papers.")]
Fold = Annotated[int, typer.Option(help="Fold of the run's split.")]
Seed = Annotated[int, typer.Option(help="Seed of the training.")]
Gpus = Annotated[int, typer.Option(min=0, help="GPUs to hold; 0: one where there is one.")]
HOW = ("gpus", "source")  # options that do not change which job a command is


@app.callback()
def _settings(
    context: typer.Context,
    config: Annotated[Path, typer.Option(help="The configuration to read.")] = Path("config.yaml"),
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    context.obj = config


def _plan(context: typer.Context) -> Plan:
    from covidseg.plan import Plan

    return Plan.load(context.obj)


def _alone(context: typer.Context) -> Plan:
    """Return the plan once no other process is working on the same job."""
    from covidseg.jobs import locks

    plan = _plan(context)
    # In the order of the signature: context.params is in the order the user gave, and one job has one lock.
    given = [context.params[each.name] for each in context.command.params if each.name and each.name not in HOW]
    given = [value for value in given if value is not None]
    names = [str(name) for value in given for name in (value if isinstance(value, list | tuple) else [value])]
    what = " ".join([str(context.info_name), *names])
    workflow = context.obj.parent == plan.paths.configs
    locks.alone(what, repr(plan.paths), workflow, lambda line: typer.echo(line, err=True))
    return plan


# ---- scans of one's own


@app.command()
def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What to call the scans: a paper file of this name.")],
    folder: Annotated[Path, typer.Argument(help="Scans: nnU-Net, Decathlon, NIfTI pairs, DICOM with masks.")],
) -> None:
    """Examine a folder of scans, say what it holds, write workflow/papers/NAME.yaml and set config.yaml to it."""
    from covidseg import steps

    steps.init(context.obj, name, folder, typer.echo)


# ---- data


@app.command()
def fetch(context: typer.Context, dataset: DatasetName) -> None:
    """Download a data set (mirror first, hashes checked); in demo mode, generate its phantom."""
    from covidseg import steps

    steps.fetch(_alone(context), dataset)


@app.command("import")
def import_(context: typer.Context, dataset: DatasetName) -> None:
    """Read a data set's files into the canonical store: 8-bit slices, labels, orientation, spacing."""
    from covidseg import steps

    steps.import_(_alone(context), dataset)


@app.command()
def lungs(
    context: typer.Context,
    what: Annotated[list[str], typer.Argument(metavar="DATASET|SCAN", help="A data set, or with --out: scans.")],
    out: Annotated[Path | None, typer.Option(help="With scans: folder for masks, volumes.csv and montage.png.")] = None,
    source: Annotated[str, typer.Option(help="With scans: threshold, r231 or r231covidweb.")] = "threshold",
    gpus: Gpus = 0,
) -> None:
    """Make the lung masks of a data set, from the source that config.yaml or the data set names, or of any scans.

    With --out, the arguments are NIfTI, DICOM, PNG or JPEG files and folders, as for predict; that works outside a
    checkout too.
    """
    from covidseg import steps

    if out is None and len(what) == 1:
        steps.lungs(_alone(context), what[0], gpus)
    elif out is None:
        _fail("lungs takes either one DATASET, or scans and --out")
    elif steps.lungs_of_scans([Path(each) for each in what], source, out):
        raise typer.Exit(1)


@app.command()
def tensors(
    context: typer.Context, dataset: DatasetName, size: Annotated[int, typer.Argument(help="Width and height.")]
) -> None:
    """Crop and resize a data set's slices to a network's input size, memory-mappable."""
    from covidseg import steps

    steps.tensors(_alone(context), dataset, size)


@app.command()
def split(context: typer.Context, split: Annotated[str, typer.Argument(help="As mine-folds-5.")]) -> None:
    """Make a split of a data set by a rule, folds-K or hold-out. Splits in workflow/splits are written by hand."""
    from covidseg import steps

    steps.split(_alone(context), split)


@app.command()
def leaks(context: typer.Context, dataset: DatasetName, split: Annotated[str, typer.Argument(help="As ma5.")]) -> None:
    """List the patients, volumes and near-duplicate slices that are in both training and test cases of a split."""
    from covidseg import steps

    steps.leaks(_alone(context), dataset, split)


# ---- training and scoring


@app.command()
def train(context: typer.Context, run: RunName, fold: Fold = 0, seed: Seed = 0, gpus: Gpus = 0) -> None:
    """Train one run, fold and seed; keep the best model and its test predictions. A killed training continues."""
    from covidseg import steps

    steps.train(_alone(context), run, fold, seed, gpus)


@app.command()
def stage(
    context: typer.Context,
    run: RunName,
    name: Annotated[str, typer.Argument(help="As round0, labels1, round1.")],
    fold: Fold = 0,
    seed: Seed = 0,
    gpus: Gpus = 0,
) -> None:
    """Run one stage of a training before the last one, as a round of self-training or the labelling before it."""
    from covidseg import steps

    steps.stage(_alone(context), run, fold, seed, name, gpus)


@app.command()
def masks(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="paper/run, or paper/run@dataset for the scans of another data set.")],
    gpus: Gpus = 0,
) -> None:
    """Predict whole scans with a run's models: masks on each scan's own grid, and volumes.csv. Continues if killed."""
    from covidseg import steps

    steps.masks(_alone(context), run, gpus)


@app.command()
def score(
    context: typer.Context,
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run, as ssanet/m4: all its folds.")] = None,
    protocol: Annotated[str | None, typer.Option(help="With folders: a name in workflow/protocols.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Folder of true masks, PNG or NIfTI.")] = None,
    pred: Annotated[Path | None, typer.Option(help="Folder of predictions with the same names.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for cases.csv, summary.json and curves.csv.")] = None,
) -> None:
    """Score a run under its tables' protocols, or a folder of predictions against a folder of masks."""
    from covidseg import steps

    if run is not None and not any([protocol, truth, pred, out]):
        steps.score(_alone(context), run)
    elif run is None and protocol and truth and pred and out:
        typer.echo(steps.score_folders(protocol, truth, pred, out))
    else:
        _fail("score takes either a RUN, or all of --protocol, --truth, --pred and --out")


# ---- new scans


@app.command()
def predict(
    context: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run, an exported file, threshold, r231 or so.")],
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="NIfTI, DICOM, PNG, JPEG; files, folders.")],
    out: Annotated[Path, typer.Option(help="Folder for masks, volumes.csv and montage.png.")],
    format: Annotated[str, typer.Option(help="auto: NIfTI, PNG of pictures; dicom-seg for DICOM.")] = "auto",
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write probability maps too.")] = False,
    device: Annotated[str, typer.Option(help="auto: a GPU where there is one; cpu, cuda.")] = "auto",
) -> None:
    """Segment new scans: a mask on each scan's own grid, volumes, a picture. Works outside a checkout too.

    MODEL is a run such as mine/ours (the probabilities of all folds are averaged), a file of covidseg export, or, for
    the lungs alone, threshold, r231 or r231covidweb. Exit code 1: some scans could not be read; a line names each.
    """
    from covidseg import steps

    if steps.predict(context.obj, model, inputs, out, format, probabilities, device):
        raise typer.Exit(1)


@app.command()
def export(context: typer.Context, run: RunName, out: Annotated[Path, typer.Option(help="The file to write.")]) -> None:
    """Write a finished run as one file, which predict reads on any machine: all folds, settings, scores, licence."""
    from covidseg import steps

    steps.export(_plan(context), run, out)


# ---- tables, figures, report


@app.command()
def table(context: typer.Context, paper: PaperName, table: Annotated[str, typer.Argument(help="As 3.")]) -> None:
    """Make one table of a paper, as CSV, Markdown, LaTeX and HTML: printed, ours with its spread, the difference."""
    from covidseg import steps

    steps.table(_alone(context), paper, table)


@app.command()
def figure(context: typer.Context, paper: PaperName, figure: Annotated[str, typer.Argument(help="As 5.")]) -> None:
    """Make one figure of a paper, as PNG and PDF."""
    from covidseg import steps

    steps.figure(_alone(context), paper, figure)


@app.command()
def claims(context: typer.Context, paper: PaperName) -> None:
    """Test a paper's claims on its runs: paired bootstrap over cases, interval, verdict. CSV, Markdown, HTML."""
    from covidseg import steps

    steps.claims(_alone(context), paper)


@app.command()
def report(context: typer.Context) -> None:
    """Gather tables, figures, claims, cases and how they were made in pages that open from a file."""
    from covidseg import steps

    steps.report(_alone(context))


@app.command()
def show(
    context: typer.Context,
    what: Annotated[str | None, typer.Argument(metavar="[PAPER[/TABLE]]", help="As ssanet, or ssanet/3.")] = None,
) -> None:
    """Print the scoreboard and the path of the report; for a paper or table, its numbers."""
    from covidseg import steps

    steps.show(_plan(context), what)


@app.command()
def trace(
    context: typer.Context,
    table: Annotated[str, typer.Argument(help="As ssanet/3.")],
    row: Annotated[str, typer.Argument(help="The row's run, as m4, or its label; s4:ggo of several classes.")],
    metric: Annotated[str, typer.Argument(help="The column, as DSC.")],
) -> None:
    """Follow a number of a table back to its cases, its run.json and the command that made it."""
    from covidseg import steps

    typer.echo(steps.trace(_plan(context), table, row, metric))


# ---- about


@app.command()
def params(
    net: Annotated[str, typer.Argument(metavar="NET", help="A network, as ssanet.")],
    follow: Annotated[str, typer.Option(help="described or released.")] = "described",
    inputs: Annotated[
        int | None, typer.Option("--in", min=1, help="Input channels; absent: its paper's, else 1.")
    ] = None,
    outputs: Annotated[int | None, typer.Option("--out", min=1, help="Output channels; absent: as --in.")] = None,
) -> None:
    """Print a network's parameter count, as its paper describes it or as its authors released it."""
    from covidseg import steps

    typer.echo(steps.params(net, follow, inputs, outputs))


@app.command()
def doctor(
    context: typer.Context,
    verify: Annotated[bool, typer.Option("--verify", help="Compare raw and large files with their hashes.")] = False,
) -> None:
    """Check the configuration, this machine, the data and the finished results; say what to do."""
    from covidseg import steps

    lines, healthy = steps.doctor(context.obj, verify)
    typer.echo("\n".join(lines))
    if not healthy:
        raise typer.Exit(1)


@app.command()
def repair(
    context: typer.Context,
    options: Annotated[list[str] | None, typer.Argument(metavar="[-- OPTIONS]", help="For Snakemake.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only list what would be made again.")] = False,
) -> None:
    """Make again what is damaged, missing or out of date among the finished results and their data."""
    from covidseg import steps

    raise typer.Exit(steps.repair(_plan(context), dry_run, options or []))


@app.command()
def clean(
    context: typer.Context,
    places: Annotated[list[Path] | None, typer.Argument(metavar="[FOLDER]...", help="Only what lies in these.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only list what would be removed.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Remove nothing; fail where there is any.")] = False,
) -> None:
    """Remove results whose source is gone: runs that no paper file names, masks of deleted scans, old presets' tables.

    Only files that our own records list go, and none that was changed since. Downloaded data stay.
    """
    from covidseg import steps

    if steps.clean(_plan(context), places or [], dry_run or check) and check:
        _fail("remove it: run covidseg clean")


@app.command()
def adopt(context: typer.Context) -> None:
    """After dvc pull: make Snakemake accept the pulled results that were made from the current settings."""
    from covidseg import steps

    typer.echo(steps.adopt(_plan(context)))


@app.command()
def resume(
    orphans: Annotated[str | None, typer.Option(help="wait or cancel, where jobs are still in the queue.")] = None,
) -> None:
    """After a killed Snakemake: wait for or cancel its jobs, here or on a cluster, unlock, and repeat its command."""
    from covidseg import steps

    raise typer.Exit(steps.resume(orphans))


def _fail(message: str) -> NoReturn:
    typer.echo(f"covidseg: {message}", err=True)
    raise SystemExit(2)


def main() -> Any:
    """Run the command line; bad input is one line on standard error and exit code 2."""
    from covidseg.base.errors import UserError
    from covidseg.base.files import FULL

    signal.signal(signal.SIGINT, _interrupted)
    gc.set_threshold(100_000, 10, 10)  # imports make a million objects that all stay: looking through them takes 0.1 s
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal knows every letter
    atexit.register(gc.freeze)  # torch leaves so much that looking through it for cycles at the end takes half a second
    try:
        try:
            return app()
        finally:
            sys.stdout.flush()
    except UserError as e:
        _fail(str(e))
    except BrokenPipeError:
        _close_output()
        return 0
    except Exception as e:
        if os.environ.get("COVIDSEG_TRACEBACK"):
            raise
        if isinstance(e, OSError) and not e.filename and e.errno in FULL:  # of a file, the name would be known
            _close_output()
            _fail("the output cannot be written (no space left on the device)")
        if isinstance(e, OSError) and e.filename:
            said = f"{e.filename}: {e.strerror}; correct the path, or the folder's rights"
        else:
            said = f"unexpected {type(e).__name__}: {str(e)[:300]}; COVIDSEG_TRACEBACK=1 shows where"
        _fail(str(UserError(said)))  # which is one line without passwords


def _close_output() -> None:
    """Let what is still to be printed go nowhere: Python would complain when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted(*_: Any) -> NoReturn:
    from covidseg.base.errors import INTERRUPTED

    typer.echo(INTERRUPTED, err=True)
    raise SystemExit(130)
