"""From the YAML files to resolved runs, tables and paths: what has to be made, decided before anything runs.

Pure but for reading: no torch, no data. The Snakefile and every verb of the command line start from ``Plan.load``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from covidseg.base.files import holds, write_text
from covidseg.base.paths import Paths
from covidseg.plan.checks import Checked
from covidseg.plan.run import PHANTOM_LUNGS, STANDARD, SUPPORT, WORKFLOW, Run, fingerprint_of, in_project, qualified
from covidseg.schema import Config, Preset, load, parse, read_yaml

__all__ = ["PHANTOM_LUNGS", "STANDARD", "SUPPORT", "WORKFLOW", "Plan", "Run", "fingerprint_of", "qualified"]


class Plan(Checked):
    """Everything the configuration asks for, validated."""

    def __init__(self, config: Config, source: str = "config.yaml") -> None:
        self.config = config
        self.source = source
        self._only = frozenset(config.only)
        self.preset_name = config.preset
        if config.preset == "auto":
            self.preset_name = "tiny" if config.mode == "demo" else "full"
        self.preset = load(Preset, self._named("presets", self.preset_name, "preset"))
        self.paths = Paths(config.data / config.mode, config.results / config.mode)
        self.papers = {name: self._paper(name) for name in [*config.papers, SUPPORT]}
        self._check_names()

    @classmethod
    def load(cls, source: Path | dict[str, Any] = Path("config.yaml")) -> Plan:
        """Read and validate the configuration and everything it names. Raises UserError with one line."""
        in_project()
        if isinstance(source, dict):
            return cls(parse(Config, source, "config.yaml"))
        return cls(parse(Config, read_yaml(source), str(source)), str(source))

    def snapshot(self) -> Path:
        """Write the configuration in force beside the results, for the rules' commands; return its path.

        It is named by its content, so that another snakemake, a dry run for one, cannot change it under running jobs.
        A file of that name with other content, as a shared or copied folder may hold, is replaced.
        """
        text = "# What the commands of one workflow read; edit config.yaml instead.\n"
        text += yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False)
        path = self.paths.configs / f"{fingerprint_of(text)}.yaml"
        if not holds(path, text):
            write_text(path, text)
        return path
