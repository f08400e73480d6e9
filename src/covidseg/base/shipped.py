"""The settings that an installed package brings along, for use outside a checkout.

In a checkout they are the folders of ``workflow``; the wheel holds copies of those folders in ``covidseg/workflow``.
"""

from __future__ import annotations

from pathlib import Path

WORKFLOW = Path("workflow")
PACKAGE = Path(__file__).parents[1]
COPIES = (PACKAGE / "workflow", PACKAGE.parents[1] / "workflow")  # of a wheel, and of a checkout's src on the path


def settings(kind: str) -> Path:
    """Return the folder of the settings of a kind, as ``protocols``.

    It is that of the checkout in which the program runs; elsewhere it is the one that came with the package.
    """
    return next((folder for root in (WORKFLOW, *COPIES) if (folder := root / kind).is_dir()), COPIES[0] / kind)
