"""The scoreboard: how many printed numbers and claims of each paper held, by verdict."""

from __future__ import annotations

from dataclasses import dataclass, field

from covidseg import claims
from covidseg.claims.finding import INCONCLUSIVE, NOT_SUPPORTED, SUPPORTED
from covidseg.plan import Plan
from covidseg.tables import rows
from covidseg.tables.cell import GROUPS, NOTHING

COLUMNS = tuple(dict.fromkeys(GROUPS.values()))
UNTESTED = "not tested"
CLAIMS = (SUPPORTED, INCONCLUSIVE, NOT_SUPPORTED, UNTESTED)


@dataclass
class Board:
    """One paper: table -> column -> numbers; claims by verdict, one of CLAIMS."""

    paper: str
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> dict[str, int]:
        """Return the numbers of all tables by column."""
        return {column: sum(counts.get(column, 0) for counts in self.tables.values()) for column in COLUMNS}

    def first(self, column: str) -> str | None:
        """Return the first table with a number in a column."""
        return next((name for name, counts in self.tables.items() if counts.get(column)), None)


def scoreboard(plan: Plan) -> list[Board]:
    """Return a board for each paper, from its finished tables and claims; what is not made yet is left out.

    A table of scores counts under its own protocol: the standard panel has nothing printed.
    """
    boards = {paper: Board(paper) for paper in plan.config.papers}
    for paper, name, table in plan.targets.tables():
        path = plan.paths.table(paper, name, "csv")
        if path.is_file():
            frame = rows.read(path)
            if table.scored_by:
                frame = frame[frame.protocol == table.scored_by]
            counts = frame.verdict.map(lambda verdict: GROUPS.get(verdict, NOTHING)).value_counts()
            boards[paper].tables[name] = {column: int(counts.get(column, 0)) for column in COLUMNS}
    for paper in plan.targets.claims():
        path = plan.paths.claims(paper, "csv")
        if path.is_file():
            found = claims.read(plan, paper).verdict
            counts = found.where(found.isin(CLAIMS), UNTESTED).value_counts()
            boards[paper].claims = {verdict: int(counts.get(verdict, 0)) for verdict in CLAIMS}
    return [board for board in boards.values() if board.tables or board.claims]
