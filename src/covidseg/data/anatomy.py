"""Which labels name a part of a healthy body: nothing about them is said in words for lesions."""

from __future__ import annotations

import re

PARTS = frozenset(
    [
        *("airway", "airways", "bronchi", "bronchus", "lobe", "lobes", "lung", "lungs", "parenchyma", "pulmonary"),
        *("aorta", "heart", "trachea", "vessel", "vessels"),
        *("body", "bone", "bones", "chest", "liver", "rib", "ribs", "skin", "spine", "thorax", "tissue"),
        *("left", "lower", "middle", "right", "upper"),
    ]
)


def is_lesion(label: str) -> bool:
    """Return whether a label names something that is found in a body part: ``lung`` does not, ``lung nodule`` does."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower())
    return not words or not PARTS.issuperset(words)
