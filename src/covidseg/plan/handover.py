"""How Snakemake gets its configuration: from ``config.yaml`` and ``--config``, or as values from ``covidseg``.

Snakemake's own ``--configfile`` can run code that the file names. A configuration in a results folder may come from
somebody else, so ``covidseg adopt`` and ``covidseg resume`` pass parsed values instead of a file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from covidseg.base.errors import UserError
from covidseg.plan.resolve import merge
from covidseg.schema import Config, read_yaml

VARIABLE = "COVIDSEG_SETTINGS"  # the whole configuration as JSON, for a Snakemake that covidseg starts


def configuration(given: dict[str, Any], file: Path = Path("config.yaml")) -> dict[str, Any]:
    """Return the configuration of this Snakemake: the values of ``VARIABLE``, else ``file`` overridden by ``given``.

    ``given`` is Snakemake's ``config``, that is the values of ``--config``. Raises UserError.
    """
    handed_over = os.environ.get(VARIABLE)
    if handed_over is None:
        return merge(read_yaml(file), given)
    try:
        return dict(json.loads(handed_over))
    except (ValueError, TypeError, RecursionError) as e:
        raise UserError(f"the variable {VARIABLE} holds no configuration ({e}); unset it and run again") from e


def in_force() -> bool:
    """Return whether this Snakemake was started by covidseg."""
    return VARIABLE in os.environ


def environment(config: Config | dict[str, Any]) -> dict[str, str]:
    """Return this process's environment with a configuration for a Snakemake that is started in it."""
    values = config.model_dump(mode="json") if isinstance(config, Config) else config
    return os.environ | {VARIABLE: json.dumps(values)}
