"""The papers' figures. What a figure shows is its kind's business, see ``figures/kinds``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covidseg.base import records

if TYPE_CHECKING:
    from covidseg.plan import Plan


def write(plan: Plan, paper: str, name: str) -> None:
    """Draw one figure of a paper as PNG and PDF; one without anything to show says so in its place."""
    from covidseg.figures.page import NothingToShowError, blank, save

    try:
        drawing = plan.papers[paper].figures[name].draw(plan, paper)
    except NothingToShowError as e:
        drawing = blank(f"{e}.")
    for suffix in ("png", "pdf"):
        save(drawing, plan.paths.figure(paper, name, suffix))
    made = [plan.paths.figure(paper, name, suffix) for suffix in ("png", "pdf")]
    records.write(plan.paths.figure(paper, name, "json"), made, paper=paper, figure=name, preset=plan.preset_name)


def caption_of(plan: Plan, paper: str, name: str) -> str:
    """Return a figure's caption: the paper's in our words, then what its kind says of data, mode, preset and rules."""
    figure = plan.papers[paper].figures[name]
    return " ".join(part.rstrip(".") + "." for part in [figure.caption, *figure.words(plan, paper, name)])
