"""The browser suite: a finished report in the system's Chromium, opened from its file."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Project

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
LEFT = "net::ERR_ABORTED"  # what becomes of a picture still being read when the reader goes to another page


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("COVIDSEG_BROWSER") != "1":
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="starts a browser: make browser"))


def install() -> str:
    """Install Debian's Chromium where there is none, as root; return what kept us from it."""
    if any(map(shutil.which, PROGRAMS)):
        return ""
    if os.geteuid() or not shutil.which("apt-get"):
        return "Chromium is not installed; install it, or run as root on Debian"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
        try:
            subprocess.run(["apt-get", *command], env=environment, check=True, capture_output=True, timeout=300)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
            return f"apt-get {command[0]} failed ({type(e).__name__})"
    return ""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A Chromium with a profile of its own, that is fresh and empty."""
    problem = install()
    if not problem and importlib.util.find_spec("playwright") is None:
        problem = "Playwright is not installed: make browser"
    if problem:
        pytest.skip(f"THE BROWSER SUITE DID NOT RUN: {problem}")
    from playwright.sync_api import sync_playwright

    program = next(found for found in map(shutil.which, PROGRAMS) if found)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Path:
    """The results of the demo where it was made in this checkout, else those of the small finished project."""
    if (ROOT / "results/demo/report").is_dir():
        return ROOT / "results/demo"
    project: Project = request.getfixturevalue("finished")
    return project.folder / "results/demo"


class Reader:
    """A page, what its console said of errors, and what it asked for outside of files."""

    def __init__(self, context: Any, results: Path) -> None:
        self.page, self.results = context.new_page(), results
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("requestfailed", self._failed)
        self.page.on(
            "request", lambda r: self.outside.append(r.url) if not r.url.startswith(("file:", "data:")) else None
        )

    def _failed(self, request: Any) -> None:
        if request.failure != LEFT:
            self.errors.append(f"{request.failure}: {request.url}")

    def open(self, address: str, width: int = 1400, height: int = 900) -> Any:
        """Open an address relative to the results' folder, as ``report/cases.html#run=ssanet/m4``; return the page."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.goto("about:blank")
        self.page.goto(self.results.absolute().as_uri() + "/" + address)
        return self.page


@pytest.fixture
def reader(browser: Any, results: Path) -> Iterator[Reader]:
    """A reader, who in the end met no error and asked for nothing outside."""
    context = browser.new_context()
    found = Reader(context, results)
    yield found
    context.close()
    assert found.errors == []
    assert found.outside == []


@pytest.fixture
def without_scripts(browser: Any, results: Path) -> Iterator[Reader]:
    """A reader who has switched scripts off."""
    context = browser.new_context(java_script_enabled=False)
    yield Reader(context, results)
    context.close()
