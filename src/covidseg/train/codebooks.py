"""Codebook usage: how many of its codes a trained network uses."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from covidseg.train.loader import Rows, SliceLoader, evaluation_batch, in_batches
from covidseg.train.predict import forward


def usage(model: nn.Module, loader: SliceLoader, rows: Rows) -> tuple[dict[str, Any], list[str]]:
    """Return facts and notes for the record; none for a network without ``codebooks``.

    ``codes``: level -> how many codes some slices use, and ``of``, how many there are. A level whose codebook has
    collapsed to a single code is a note: it says nothing about the image any more.
    """
    books = getattr(model, "codebooks", {})
    if not books:
        return {}, []
    used = {level: torch.zeros(len(book.codes), dtype=torch.bool) for level, book in books.items()}
    model.eval()
    for x, _ in loader.batches(in_batches(rows, evaluation_batch(loader.size, loader.device))):
        forward(model, x)
        for level, book in books.items():
            used[level][book.used.cpu().unique()] = True
    found = {level: int(which.sum()) for level, which in used.items()}
    notes = [f"the {level} codebook has collapsed to one code" for level, count in found.items() if count == 1]
    return {"codes": found | {"of": len(next(iter(used.values())))}}, notes
