"""The plan: the runs, tables and files to make, resolved from the YAML files before anything runs.

It only reads settings: it imports no torch and opens no data. The Snakefile and every verb of the command line start
from ``Plan.load``.
A plan is composed of parts. Each part uses only those that stand above it in this list:

- ``catalogue``: papers, data sets, protocols, splits and stand-ins, as the YAML files describe them;
- ``resolver``: runs with defaults, deviations, mode and preset applied, and the references between runs;
- ``targets``: the tables, figures, claims and masks that the configuration asks for, and the runs that each shows;
- ``graph``: everything that they depend on, down to the data sets;
- ``fingerprints``: hashes of the settings, and the modules, that decide each step's result;
- ``needs``: memory, time and GPUs of jobs;
- ``checks``: that every name which one file takes from another exists.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import yaml

from covidseg.base.files import holds, write_text
from covidseg.base.paths import Paths
from covidseg.plan.catalogue import Catalogue
from covidseg.plan.checks import Checks
from covidseg.plan.fingerprints import Fingerprints
from covidseg.plan.graph import JobGraph
from covidseg.plan.names import STANDARD, SUPPORT, WORKFLOW, fingerprint_of, in_project, qualified
from covidseg.plan.needs import JobNeeds
from covidseg.plan.resolver import Resolver
from covidseg.plan.run import Run
from covidseg.plan.settings import Settings
from covidseg.plan.targets import Targets
from covidseg.schema import Config, Dataset, Paper, Preset, parse, read_yaml

__all__ = [
    "STANDARD",
    "SUPPORT",
    "WORKFLOW",
    "Plan",
    "Run",
    "fingerprint_of",
    "qualified",
]


CHECKED = "COVIDSEG_CHECKED"  # set for the jobs of a workflow: the state of the files that its plan has checked
READ = ("datasets", "papers", "presets", "protocols", "splits")  # the folders of ``workflow`` that a plan reads


class Plan:
    """Everything that the configuration asks for, validated. Its properties give the parts that are used most."""

    def __init__(self, config: Config, source: str = "config.yaml") -> None:
        self.settings = Settings.of(config, source)
        self.catalogue = Catalogue(self.settings)
        self.resolver = Resolver(self.settings, self.catalogue)
        self.targets = Targets(self.settings, self.catalogue, self.resolver)
        self.graph = JobGraph(self.settings.paths, self.catalogue, self.resolver, self.targets)
        self.fingerprints = Fingerprints(self.settings, self.catalogue, self.resolver, self.targets, self.graph)
        self.needs = JobNeeds(config.device)
        self.checks = Checks(self.settings, self.catalogue, self.resolver, self.targets, self.graph)
        if os.environ.get(CHECKED) != self.state():
            self.checks.all()

    @property
    def config(self) -> Config:
        """Return the configuration in force."""
        return self.settings.config

    @property
    def source(self) -> str:
        """Return the file that the configuration was read from, for messages and commands."""
        return self.settings.source

    @property
    def preset(self) -> Preset:
        """Return the preset in force."""
        return self.settings.preset

    @property
    def preset_name(self) -> str:
        """Return the name of the preset in force, never ``auto``."""
        return self.settings.preset_name

    @property
    def paths(self) -> Paths:
        """Return where data and results go."""
        return self.settings.paths

    @property
    def papers(self) -> dict[str, Paper]:
        """Return the papers asked for, by name, and the models behind lung masks."""
        return self.catalogue.papers

    def run(self, run: str) -> Run:
        """Return one resolved run. Raises UserError naming the file and key."""
        return self.resolver.run(run)

    def dataset(self, name: str) -> Dataset:
        """Return a data set's description, as the mode reads it."""
        return self.catalogue.dataset(name)

    @classmethod
    def load(cls, source: Path | dict[str, Any] = Path("config.yaml")) -> Plan:
        """Read and validate the configuration and everything it names. Raises UserError with one line."""
        in_project()
        if isinstance(source, dict):
            return cls(parse(Config, source, "config.yaml"))
        return cls(parse(Config, read_yaml(source), str(source)), str(source))

    def state(self) -> str:
        """Return a hash of the configuration and of all files that a plan may read.

        A workflow gives it to its jobs, which need not check again what their workflow has just checked.
        """
        state = hashlib.sha256(self.config.model_dump_json().encode())
        for path in sorted(path for folder in READ for path in (WORKFLOW / folder).glob("*") if path.is_file()):
            state.update(f"\0{path}\0".encode() + path.read_bytes())
        return state.hexdigest()[:16]

    def snapshot(self) -> Path:
        """Write the configuration in force into the results folder, for the rules' commands; return its path.

        The file is named by the hash of its content, so that another Snakemake, as a dry run, cannot change the
        configuration of running jobs. A file of that name with other content is replaced.
        """
        text = "# What the commands of one workflow read; edit config.yaml instead.\n"
        text += yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False)
        path = self.paths.configs / f"{fingerprint_of(text)}.yaml"
        if not holds(path, text):
            write_text(path, text)
        return path
