"""Adam and SGD over one vector of all parameters: a step is one call, a state is one tensor."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from covidseg import schema

_ALIGN = 16  # floats: every parameter starts on a 64-byte boundary


class FlatParameters:
    """The trainable parameters of a model as one vector ``values``, their gradients as ``grads``.

    The model's parameters become views of ``values`` with the strides they had (channels last stays so).
    """

    def __init__(self, model: nn.Module) -> None:
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.count = sum(p.numel() for p in parameters)
        length = sum(-(-p.numel() // _ALIGN) * _ALIGN for p in parameters)
        self.values = torch.zeros(length, device=parameters[0].device)
        self.grads = torch.zeros_like(self.values)
        self.model = model
        at = 0
        for p in parameters:
            values, grads = (t[at : at + p.numel()].as_strided(p.shape, p.stride()) for t in (self.values, self.grads))
            values.copy_(p.data)
            p.data, p.grad = values, grads
            at += -(-p.numel() // _ALIGN) * _ALIGN

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of the parameters and of the model's buffers (running means)."""
        return {"values": self.values.clone(), **{f"buffer.{k}": b.clone() for k, b in self.model.named_buffers()}}

    def restore(self, snapshot: dict[str, Tensor]) -> None:
        """Put a snapshot back."""
        self.values.copy_(snapshot["values"])
        for name, buffer in self.model.named_buffers():
            buffer.copy_(snapshot[f"buffer.{name}"])


class Optimizer:
    """Adam (betas 0.9, 0.999, eps 1e-8) or SGD, with L2 weight decay and clamped gradients, by torch's functions.

    The functions behind ``torch.optim.Adam`` and ``SGD`` are called directly: making an object of these classes imports
    the compiler, which takes 0.9 s in every process that trains.
    """

    def __init__(self, flat: FlatParameters, settings: schema.Optimizer) -> None:
        self.flat, self.settings = flat, settings
        self.state = self._new()

    def reset(self) -> None:
        """Forget all moments, as a new optimizer would, in place."""
        for value in self.state.values():
            value.zero_()

    def _new(self) -> dict[str, Tensor]:
        names = ("first", "second") if self.settings.name == "adam" else ("velocity",) if self.settings.momentum else ()
        state = {name: torch.zeros_like(self.flat.values) for name in names}
        return state | {"step": torch.zeros((), device=self.flat.values.device)}

    def restarts(self, epoch: int) -> bool:
        """Return whether the optimizer is new, without moments, at the beginning of an epoch, 0 the first."""
        restart = self.settings.restart
        return self.settings.recreate or (restart is not None and epoch == restart.epoch)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, 0 the first; after a restart epochs count from there.

        ``collapse`` is the released code of Inf-Net, which counts epochs from 1 and each time multiplies the rate it
        finds by factor ** (epoch // step): with step 50 and factor 0.1 nothing is left a few epochs after the 50th.
        """
        s, first = self.settings, self.settings.lr
        if s.restart and epoch >= s.restart.epoch:
            epoch, first = epoch - s.restart.epoch, s.restart.lr
        if not s.step:
            return first
        times = sum(e // s.step for e in range(1, epoch + 2)) if s.collapse else epoch // s.step
        return first * s.factor**times

    @torch.no_grad()
    def step(self, epoch: int) -> None:
        """Update the parameters from the gradients and zero these."""
        values, grads, state, s = self.flat.values, self.flat.grads, self.state, self.settings
        if s.clamp:
            grads.clamp_(-s.clamp, s.clamp)
        if s.name == "adam":
            adam(
                [values], [grads], [state["first"]], [state["second"]], [], [state["step"]],
                lr=self.rate(epoch), beta1=0.9, beta2=0.999, weight_decay=s.weight_decay, eps=1e-8,
                amsgrad=False, maximize=False, fused=True,
            )  # fmt: skip
        else:
            state["step"] += 1
            sgd(
                [values], [grads], [state.get("velocity")],
                lr=self.rate(epoch), momentum=s.momentum, weight_decay=s.weight_decay, dampening=0.0,
                nesterov=False, maximize=False, foreach=False,
            )  # fmt: skip
        grads.zero_()
