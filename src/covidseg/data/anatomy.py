"""Which labels name a part of a healthy body, and which of them the lungs."""

from __future__ import annotations

import re

LUNG = frozenset(["lobe", "lobes", "lung", "lungs", "parenchyma", "pulmonary"])
PARTS = LUNG.union(
    [
        *("airway", "airways", "bronchi", "bronchus"),
        *("aorta", "heart", "trachea", "vessel", "vessels"),
        *("body", "bone", "bones", "chest", "liver", "rib", "ribs", "skin", "spine", "thorax", "tissue"),
        *("left", "lower", "middle", "right", "upper"),
    ]
)


def is_lesion(label: str) -> bool:
    """Return whether a label names something that is found in a body part: ``lung`` does not, ``lung nodule`` does."""
    words = _words(label)
    return not words or not PARTS.issuperset(words)


def is_lung(label: str) -> bool:
    """Return whether a label names lungs or a part of them: ``left lung`` and ``upper lobe`` do."""
    return not is_lesion(label) and not LUNG.isdisjoint(_words(label))


def _words(label: str) -> list[str]:
    return re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower())
