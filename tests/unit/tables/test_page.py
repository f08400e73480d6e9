"""A table in HTML: cells, signs, links and reasons."""

from covidseg.tables.cell import INSIDE, NOT_COMPARABLE, NOT_RUN, OUTSIDE, Cell
from covidseg.tables.page import html, signed, slug

BASE = {"protocol": "ssanet", "metric": "dsc", "folds": 2, "seeds": 1, "slices": 30, "cls": "infection"}


def cell(row: str, column: str, verdict: str, **changes: object) -> Cell:
    about = {"printed": 0.6, "ours": 0.5512, "sd": 0.02, "difference": -0.0488, "why": "", "run": f"p/{row}"}
    return Cell(row=row, column=column, verdict=verdict, **(BASE | about | changes))  # type: ignore[arg-type]


def test_a_cell_says_ours_printed_difference_and_verdict() -> None:
    cells = [
        cell("a<b", "DSC", INSIDE, why="near"),
        cell("a<b", "NSD", OUTSIDE, why="far"),
        cell("c", "DSC", NOT_RUN, ours=None, sd=None, difference=None),
        cell("c", "NSD", NOT_COMPARABLE, why="near"),
    ]
    page = html("IV a", ["Caption.", "Mode demo."], cells, [])
    assert 'id="table-IV-a" data-protocol="ssanet" data-view="all"' in page
    assert '<th scope="row">a&lt;b</th>' in page
    assert 'id="table-IV-a-within-spread" class="v-within-spread" data-o="0.5512" data-n="30" data-p="0.6"' in page
    assert '<span class="o">0.5512 <span class="sd">± 0.0200</span></span>' in page
    assert 'aria-label="differs" title="outside our spread">≠</span>' in page
    assert '<span class="d">−0.0488</span>' in page
    assert '<span class="o">not run</span>' in page
    assert page.count("<li>near</li>") == 1  # said once, though two cells have it
    assert 'data-run="p/c"' in page


def test_words_of_a_tables_own_have_a_column() -> None:
    page = html("LOV", ["Caption."], [cell("p1", "Scan 1", "falls", printed=None, difference=None)], [])
    assert '<th scope="col" class="name">verdict</th>' in page
    assert 'data-view="all"' not in page


def test_links_and_signs() -> None:
    assert slug("a b/c@d") == "a-b-c-d"
    assert [signed(value, 2) for value in (0.012, -0.2, -0.001)] == ["+0.01", "−0.20", "0.00"]
