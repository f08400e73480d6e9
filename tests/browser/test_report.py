"""The report as a reader meets it: from a file, in windows of all widths, with and without scripts."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Reader

PAGES = ("report.html", "report/runs.html", "report/cases.html", "report/leaks.html", "report/resources.html")
SERIOUS = ("serious", "critical")
ALIKE = """for (const table of document.querySelectorAll("tbody"))
    for (const row of [...table.rows].slice(6)) row.remove()"""  # six rows of a table tell what all would


def papers(results: Path) -> list[str]:
    return sorted(f"report/{path.name}" for path in (results / "report").glob("paper-*.html"))


def pages(results: Path) -> list[str]:
    return [*PAGES, *papers(results)]


def first_case(page: Any, hidden: str = "") -> str:
    """Open the first case of the list; return the link's target."""
    link = page.locator("#cases tbody tr:not([hidden]) a").first
    link.click()
    page.locator("#said").wait_for()
    page.wait_for_function("document.querySelector('#said').textContent.startsWith('Slice')")
    return str(link.get_attribute("href"))


def test_a_missing_picture_is_an_error_and_a_page_left_early_is_none(reader: Reader) -> None:
    picture = next((reader.results / "report/cases").glob("*-worst.png")).absolute().as_uri()
    show = "source => { const image = new Image(); image.src = source; document.body.append(image); return %s }"
    page = reader.open("report.html")
    page.evaluate("source => { for (let n = 0; n < 200; n++) (%s)(source + '?' + n) }" % (show % "0"), picture)
    page = reader.open("report.html")
    assert reader.errors == []
    with page.expect_event("requestfailed"), page.expect_console_message():
        page.evaluate(show % "0", picture + ".gone")
    assert f"net::ERR_FILE_NOT_FOUND: {picture}.gone" in reader.errors
    reader.errors.clear()


@pytest.mark.parametrize("width", [360, 390, 1400, 2560])
def test_no_page_scrolls_sideways(reader: Reader, width: int) -> None:
    for address in pages(reader.results):
        page = reader.open(address, width)
        page.evaluate("for (const part of document.querySelectorAll('details')) part.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, address


def test_axe_finds_nothing_serious(reader: Reader) -> None:
    from axe_playwright_python.sync_playwright import Axe

    both = [("light", address) for address in pages(reader.results)]
    for scheme, address in [*both, ("dark", "report.html"), ("dark", papers(reader.results)[0])]:
        reader.page.emulate_media(color_scheme=scheme)
        page = reader.open(address)
        if address.endswith("cases.html"):
            first_case(page)
        page.evaluate(ALIKE)
        found = Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response["violations"]
        wrong = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in SERIOUS]
        assert wrong == [], (address, scheme)


def test_with_scripts_off_every_table_is_there(without_scripts: Reader) -> None:
    results = without_scripts.results
    folders = sorted((results / "tables").iterdir())
    assert folders
    for folder in folders:
        page = without_scripts.open(f"report/paper-{folder.name}.html")
        for path in sorted(folder.glob("*.csv")):
            with open(path, newline="") as file:
                rows = {(line["row"], line["class"]) for line in csv.DictReader(file)}
            table = page.locator(f"#table-{re.sub('[^A-Za-z0-9_.-]+', '-', path.stem)}")
            assert table.is_visible(), path
            assert table.locator("tbody tr").count() == len(rows), path
    for address in PAGES:
        for table in without_scripts.open(address).locator("main table").all():
            assert table.locator("tbody tr").count() > 0, address
    assert without_scripts.open("report/cases.html").locator("#cases tbody tr").count() > 3


def test_the_report_is_small(reader: Reader) -> None:
    folder = reader.results / "report"
    assert (reader.results / "report.html").stat().st_size < 1_000_000
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 40_000_000
    usable = "performance.getEntriesByType('navigation')[0].domInteractive"
    assert min(reader.open("report.html").evaluate(usable) for _ in range(3)) < 1000  # ms


def test_the_scoreboard_leads_to_the_numbers_it_counts(reader: Reader) -> None:
    page = reader.open("report.html")
    cell = page.locator("#scoreboard ~ .wide tbody tr").first.locator("td a").first
    kind = str(cell.get_attribute("href")).rsplit("#", 1)[1]
    cell.click()
    page.wait_for_load_state()
    hits = page.locator("td.hit")
    assert hits.count() > 0
    target = page.locator(f"[id='{kind}']")
    assert target.evaluate("cell => cell.classList.contains('hit')")
    box = target.bounding_box()
    assert 0 < box["y"] < 900


def test_a_column_sorts_by_what_is_shown(reader: Reader) -> None:
    page = reader.open("report/paper-ssanet.html")
    table = page.locator("#table-3")
    head = table.locator("th[data-metric=dsc]")

    def values(key: str) -> list[float]:
        cells = table.locator(f"td[data-{key}]:nth-child(2)").all()
        return [float(cell.get_attribute(f"data-{key}")) for cell in cells]

    unsorted = values("o")
    assert len(unsorted) > 1
    head.click()
    assert values("o") == sorted(unsorted)
    assert head.get_attribute("aria-sort") == "ascending"
    head.press("Enter")
    assert values("o") == sorted(unsorted, reverse=True)
    section = page.locator("[data-table='3']")
    section.get_by_role("button", name="Difference").click()
    head.click()
    assert values("d") == sorted(values("d"))
    assert table.locator(".d").first.is_visible()
    assert not table.locator(".o").first.is_visible()
    section.get_by_role("button", name="Printed").click()
    assert table.locator(".p").first.is_visible()
    assert not table.locator(".d").first.is_visible()


def test_the_head_and_the_first_column_stay_in_sight(reader: Reader) -> None:
    page = reader.open("report/paper-ssanet.html#table-3", 390, 700)
    place = page.locator(".wide:has(#table-3)")
    label = place.locator("tbody th").first
    before = label.bounding_box()["x"]
    place.evaluate("place => place.scrollBy(200, 0)")
    assert place.evaluate("place => place.scrollLeft") > 0
    assert abs(label.bounding_box()["x"] - before) < 1


def test_a_number_opens_how_it_was_made(reader: Reader) -> None:
    page = reader.open("report/paper-ssanet.html#table-3")
    number = page.locator("#table-3 td[data-o] .o").first
    number.press("Enter")
    said = page.get_by_role("dialog").inner_text()
    assert "ssanet, table 3" in said
    assert "run.json" in said
    assert re.search(r"covidseg .*train ssanet/m1 --fold 0 --seed 0", said)
    means = [float(cell) for cell in page.locator("dialog tbody td:nth-child(3)").all_inner_texts()]
    counted = float(page.locator("#table-3 td[data-o]").first.get_attribute("data-o"))
    assert min(means) <= counted <= max(means)
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_search_finds_and_follows(reader: Reader) -> None:
    page = reader.open("report.html")
    page.keyboard.press("/")
    page.keyboard.type("ssanet/m3")
    page.locator(".found a").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/runs.html#ssanet-m3")
    assert page.locator("#ssanet-m3").evaluate("part => part.open")
    assert page.locator("#ssanet-m3 svg").count() >= 3  # validation, loss, learning rate


def drawn(page: Any) -> int:
    return int(page.locator(".stage").get_attribute("data-drawn") or 0)


def switched(page: Any, layer: str, on: bool) -> bytes:
    """Switch a layer, wait until the stage is drawn again, and return its picture."""
    before = drawn(page)
    page.locator(f"[data-layer{layer}]").first.set_checked(on)
    page.wait_for_function(f"Number(document.querySelector('.stage').dataset.drawn) > {before}")
    return bytes(page.locator(".stage").screenshot())


def test_layers_switch_on_and_off(reader: Reader) -> None:
    page = reader.open("report/cases.html#run=ssanet/m3")
    first_case(page)
    page.wait_for_function("Number(document.querySelector('.stage').dataset.drawn) > 0")
    both = page.locator(".stage").screenshot()
    assert switched(page, "^=truth", False) != both
    assert switched(page, "^=truth", True) == both
    assert switched(page, "=CT", False) != both
    assert page.locator("[data-layer='ssanet/m3']").is_checked()
    assert page.locator(".marks .right").inner_text().startswith("R")


def test_a_slider_goes_through_the_scan_and_the_link_follows(reader: Reader) -> None:
    page = reader.open("report/cases.html")
    many = page.locator("#cases tbody tr").filter(has=page.locator("td:nth-child(4)", has_text=re.compile("^[2-9]$")))
    many.first.locator("a").click()
    page.wait_for_function("document.querySelector('#said')?.textContent.startsWith('Slice')")
    slider = page.locator("#slice")
    slider.press("Home")
    page.wait_for_function("document.querySelector('#said').textContent.startsWith('Slice 1 ')")
    first = page.locator(".stage").screenshot()
    slider.press("ArrowRight")
    page.wait_for_function("document.querySelector('#said').textContent.startsWith('Slice 2 ')")
    assert page.locator(".stage").screenshot() != first
    link = page.url
    assert "slice=2" in link
    again = reader.open("report/cases.html" + link[link.index("#") :])
    again.wait_for_function("document.querySelector('#said')?.textContent.startsWith('Slice 2 ')")


def test_the_worst_case_on_the_first_page_opens(reader: Reader) -> None:
    page = reader.open("report.html")
    worst = page.locator(".cards figure").first
    assert "ssanet, worst" in worst.inner_text()
    assert worst.locator("img").evaluate("image => image.complete && image.naturalWidth > 0")
    worst.locator("a").click()
    page.wait_for_function("document.querySelector('#said')?.textContent.startsWith('Slice')")


def test_cases_are_filtered_by_run_and_patient(reader: Reader) -> None:
    page = reader.open("report/cases.html")
    rows = page.locator("#cases tbody tr:not([hidden])")
    every = rows.count()
    page.locator("#filter-run").select_option("ssanet/m1")
    scores = [float(text) for text in page.locator("#cases tbody tr:not([hidden]) td:nth-child(6)").all_inner_texts()]
    assert scores == sorted(scores)  # the worst first
    patient = rows.first.get_attribute("data-patient")
    page.locator("#filter-patient").select_option(patient)
    assert 0 < rows.count() < every


def test_print_and_dark(reader: Reader) -> None:
    page = reader.open("report/paper-ssanet.html")
    page.emulate_media(media="print")
    assert not page.locator(".bar").is_visible()
    assert page.locator("#table-3").is_visible()
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Colours").click()
    page.get_by_role("button", name="Colours").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 25, 31)"
