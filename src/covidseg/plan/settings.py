"""The configuration in force: ``config.yaml``, the preset that it names and the folders that follow from it."""

from __future__ import annotations

from dataclasses import dataclass

from covidseg.base.paths import Paths
from covidseg.plan.names import file_of
from covidseg.schema import Config, Preset, load


@dataclass(frozen=True, eq=False)
class Settings:
    """The configuration in force, from which every part of the plan starts; messages name the file ``source``."""

    config: Config
    source: str
    preset_name: str
    preset: Preset
    paths: Paths

    @classmethod
    def of(cls, config: Config, source: str) -> Settings:
        """Read the preset of a configuration. Raises UserError for an unknown one."""
        name = config.preset
        if name == "auto":
            name = "tiny" if config.mode == "demo" else "full"
        preset = load(Preset, file_of("presets", name, "preset", source))
        return cls(config, source, name, preset, Paths(config.data / config.mode, config.results / config.mode))
