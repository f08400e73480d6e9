"""The models of every YAML file a person edits: config, papers, data sets, protocols, presets.

Unknown keys are errors. ``load`` turns a failed validation into one line that names the file, the path to the key and
the nearest legal name. Nothing here imports torch, and nothing here reads data.
"""

from covidseg.schema.base import Follow, InputMode, LungSource
from covidseg.schema.config import Config
from covidseg.schema.dataset import Dataset, OwnScans, Phantom, Source
from covidseg.schema.exhibit import Exhibit, Figure, Job, Reads, Table
from covidseg.schema.loading import json_schemas, load, parse, read_yaml
from covidseg.schema.paper import Claim, Comparison, Deviation, Paper
from covidseg.schema.protocol import Preset, Protocol
from covidseg.schema.run import RunSpec
from covidseg.schema.training import Optimizer, Pool, Training

__all__ = [
    "Claim",
    "Comparison",
    "Config",
    "Dataset",
    "Deviation",
    "Exhibit",
    "Figure",
    "Follow",
    "InputMode",
    "Job",
    "LungSource",
    "Optimizer",
    "OwnScans",
    "Paper",
    "Phantom",
    "Pool",
    "Preset",
    "Protocol",
    "Reads",
    "RunSpec",
    "Source",
    "Table",
    "Training",
    "json_schemas",
    "load",
    "parse",
    "read_yaml",
]
