"""Names of the twenty volumes of COVID-19-CT-Seg and of their patients, the same in every data set cut from them."""

from __future__ import annotations

import re

from covidseg.base.errors import UserError

_CORONACASES = re.compile(r"coronacases(?:_org)?_(\d{3})")
_RADIOPAEDIA = re.compile(r"radiopaedia(?:_org_covid-19-pneumonia)?[_-](\d+)(?:_(\d+)_(\d+))?")


def volume(name: str) -> str:
    """Return the volume a file name speaks of, e.g. ``coronacases_001`` or ``radiopaedia_10_85902_3``."""
    if hit := _CORONACASES.search(name):
        return f"coronacases_{hit[1]}"
    if hit := _RADIOPAEDIA.search(name):
        return "_".join(["radiopaedia", *(part for part in hit.groups() if part)])
    raise UserError(
        f"{name}: expected coronacases_NNN or radiopaedia_N_NNNNN_N in the name; check the data set's files"
    )


def patient(name: str) -> str:
    """Return the patient of a volume: radiopaedia_10_85902_1 and _3 are both of ``radiopaedia_10``."""
    return "_".join(volume(name).split("_")[:2])
