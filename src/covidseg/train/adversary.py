"""The loop of adversarial semi-supervision: a network and a discriminator that learn from each other by turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from covidseg import losses, schema
from covidseg.base.errors import UserError
from covidseg.losses.cross_entropy import cross_entropy
from covidseg.losses.targets import UNLABELLED, label_map
from covidseg.nets.discriminator import Discriminator
from covidseg.train.device import autocast, place
from covidseg.train.job import Job
from covidseg.train.loader import Rows, SliceLoader, in_batches
from covidseg.train.loop import Loop
from covidseg.train.optimizer import FlatParameters, Optimizer
from covidseg.train.resume import Resume

if TYPE_CHECKING:
    from covidseg.train.methods.adversarial import Adversarial

OWN = ["semi", "adversarial", "discriminator", "trusted"]  # columns of the history from ``from_epoch`` on


class Adversary(Loop):
    """Supervised until ``from_epoch``, then labelled and unlabelled slices in one step (Jin et al. 2022, section 3.4).

    A step of the second phase:

    - labelled slices: the run's losses, and ``adversarial`` times L_adv (eq. 12);
    - unlabelled slices: ``semi`` times the cross entropy with their pseudo labels (eq. 13), ``adversarial`` times
      L_adv, and the run's other losses with their weights, on the pseudo labels. A pixel's pseudo label is its most
      probable class where the discriminator's confidence is above ``trust``, and none elsewhere. Equation 13 as printed
      makes untrusted pixels background; the text takes them out of the gradient, as is done here;
    - the discriminator: the truth of the labelled slices is real, their segmentation is not (eq. 14, with its brackets
      in the usual places).

    Equations 12 and 14 print sums over pixels; these are means. The two batches have a backward pass each, so that one
    graph is in memory at a time. The discriminator begins to learn in the second phase, as described: at first its
    confidence is near 0.5 everywhere, so that everything is trusted. The best epoch is chosen from ``from_epoch`` on,
    or it could be one that never saw the method.

    The history also tells, as means over an epoch's batches: ``semi`` and ``adversarial`` before their weights,
    ``discriminator``, its loss; ``trusted``, the share of trusted pixels; ``codes``, how many codes of all codebooks a
    labelled batch used, where the network has codebooks.
    """

    def __init__(
        self, job: Job, model: nn.Module, loader: SliceLoader, train: Rows, val: Rows, resume: Resume, *,
        unlabelled: SliceLoader, pool: Rows,
    ) -> None:  # fmt: skip
        settings: Adversarial = job.spec.train  # type: ignore[assignment]
        self.unlabelled, self.pool, self.best_from = unlabelled, pool, settings.from_epoch
        channels = max(2, job.out_channels)
        torch.manual_seed(int(job.random(-1).integers(2**63, size=2)[1]))  # the first one made the network
        width = float(job.spec.net.get("width", 1.0))
        self.adversary = place(Discriminator(channels, width), loader.device)
        self.adversary_flat = FlatParameters(self.adversary)
        rate = schema.Optimizer(name="adam", lr=settings.discriminator_lr)
        self.adversary_optimizer = Optimizer(self.adversary_flat, rate)
        self.codebooks = list(getattr(model, "codebooks", {}).values())
        super().__init__(job, model, loader, train, val, resume)

    @property
    def method(self) -> Adversarial:
        """Return the settings of the method."""
        return self.settings  # type: ignore[return-value]

    @property
    def columns(self) -> list[str]:
        """Return the losses, and what the method adds."""
        return [*super().columns, *OWN, *(["codes"] if self.codebooks else [])]

    def active(self, epoch: int) -> list[str]:
        """Return the columns that have a value in an epoch."""
        own = OWN if epoch >= self.best_from else []
        return [*super().active(epoch), *own, *(["codes"] if self.codebooks else [])]

    def _batches(self, batches: list[Rows], random: np.random.Generator) -> Iterator[tuple[Tensor, ...]]:
        """Yield input and target, and in the second phase as many unlabelled slices as a batch has labelled ones.

        The pool is shuffled anew each epoch, and repeated where it is smaller than what an epoch takes.
        """
        found = super()._batches(batches, random)
        if self.epoch < self.best_from:
            return found
        drawn = np.resize(random.permutation(self.pool), len(batches) * self.settings.batch)
        others = self.unlabelled.batches(in_batches(drawn, self.settings.batch)[self.batch :])
        return ((x, target, u) for (x, target), (u, _) in zip(found, others, strict=True))

    def _backward(self, x: Tensor, target: Tensor, u: Tensor | None = None) -> dict[str, Tensor]:
        """Add the gradients of both batches to those of the network, and the discriminator's to its own."""
        share = 1 / self.settings.accumulate
        if u is None:
            values = super()._backward(x, target)
            return values | self._codes()
        self.adversary.requires_grad_(False)
        with autocast(x.device):
            outputs = self.model(x)
            loss, values = losses.total(self.terms, outputs, target, self.epoch)
            p = simplex(outputs["logits"])
            deceived = _cross_entropy(self.adversary(p), 1)
        ((loss + self.method.adversarial * deceived) * share).backward()
        codes = self._codes()
        if u.shape[2:] != x.shape[2:]:  # at another scale
            u = F.interpolate(u, x.shape[2:], mode="bilinear", align_corners=False)
        with autocast(x.device):
            found = self.model(u)
            q = simplex(found["logits"])
            logits = self.adversary(q)
            trusted = torch.sigmoid(logits.detach())[:, 0] > self.method.trust
            pseudo = torch.where(trusted, label_map(q.detach()[:, 1:]), UNLABELLED).to(torch.uint8)
            semi, too = cross_entropy(found, pseudo), _cross_entropy(logits, 1)
            loss = self.method.semi * semi + self.method.adversarial * too
            others = {name: given for name, given in self.terms.items() if name != "cross_entropy"}
            if losses.active(others, self.epoch):
                loss = loss + losses.total(others, found, pseudo, self.epoch)[0]
        (loss * share).backward()
        self.adversary.requires_grad_(True)
        with autocast(x.device):
            truth = F.one_hot(target.long(), q.shape[1]).permute(0, 3, 1, 2).float()
            told = _cross_entropy(self.adversary(p.detach()), 0) + _cross_entropy(self.adversary(truth), 1)
        (told * share).backward()
        own = (semi, (deceived + too) / 2, told, trusted.float().mean())
        return values | dict(zip(OWN, own, strict=True)) | codes

    def _update(self) -> None:
        """Update the network and, in the second phase, the discriminator."""
        super()._update()
        if self.epoch >= self.best_from:
            self.adversary_optimizer.step(self.epoch)

    def _codes(self) -> dict[str, Tensor]:
        """Return how many codes of all codebooks the last forward pass used."""
        if not self.codebooks:
            return {}
        used = [torch.bincount(book.used, minlength=len(book.codes)) > 0 for book in self.codebooks]
        return {"codes": torch.cat(used).sum().float()}

    # -- after the training

    def confidence(self, x: Tensor) -> Tensor:
        """Return the discriminator's confidence (N, H, W) that the network's segmentation of an input is true."""
        return torch.sigmoid(self.adversary(simplex(self.model(x)["logits"])))[:, 0]

    @property
    def reconstructs(self) -> bool:
        """Return whether the network reconstructs its input."""
        return bool(self.codebooks) and bool(self.job.spec.net.get("reconstruction", True))

    def reconstruction(self, x: Tensor) -> Tensor:
        """Return the network's reconstruction of the slices of an input, (N, H, W)."""
        image: Tensor = self.model.reconstruct(x)  # type: ignore[operator]
        return image[:, 0]

    @property
    def trusted(self) -> list[float]:
        """Return the share of trusted pixels of each epoch of the second phase."""
        at = self._header.index("trusted")
        return [float(row[at]) for row in self.history if row[at]]

    @property
    def remarks(self) -> list[str]:
        """Return what a reader of the result should know of the method's part in it."""
        if all(share == 1 for share in self.trusted):
            return ["every pixel of the pool was trusted throughout: the discriminator chose nothing"]
        if all(share == 0 for share in self.trusted):
            return ["no pixel of the pool was ever trusted: nothing was learned from pseudo labels"]
        return []

    # -- a discriminator that is no number, and the state

    def _close_epoch(self) -> None:
        if not torch.isfinite(self.adversary_flat.values.sum()):
            self._stop("discriminator", len(self.values))
        super()._close_epoch()

    def _stop(self, what: str, batch: int) -> NoReturn:
        if what not in ("adversarial", "discriminator"):
            super()._stop(what, batch)
        self.resume.remove()
        raise UserError(
            f"{self.job.out}: the discriminator became NaN or infinite in epoch {self.epoch}, batch {batch}; lower "
            f"train.discriminator_lr (now {self.method.discriminator_lr:g})"
        )

    def _snapshot(self) -> dict[str, Tensor]:
        return {**super()._snapshot(), "adversary": self.adversary_flat.values.clone()}

    def _put_back(self, snapshot: dict[str, Any]) -> None:
        super()._put_back(snapshot)
        self.adversary_flat.values.copy_(snapshot["adversary"])

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "adversary_optimizer": self.adversary_optimizer.state,
            "adversary_grads": self.adversary_flat.grads if self.pending else None,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        super()._restore(state)
        device = self.adversary_flat.values.device
        if state["adversary_grads"] is not None:
            self.adversary_flat.grads.copy_(state["adversary_grads"])
        self.adversary_optimizer.state = {k: value.to(device) for k, value in state["adversary_optimizer"].items()}


def simplex(logits: Tensor) -> Tensor:
    """Return the probabilities of background and classes (N, 1 + K, H, W), float32, which add up to 1."""
    logits = logits.float()
    if logits.shape[1] > 1:
        return torch.softmax(logits, 1)
    p = torch.sigmoid(logits)
    return torch.cat((1 - p, p), 1)


def _cross_entropy(logits: Tensor, value: float) -> Tensor:
    """Return the mean binary cross entropy of a discriminator's logits with one value everywhere."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, value))
