from __future__ import annotations

from typing import Any, ClassVar

import pytest

from covidseg import nets
from covidseg.base.errors import UserError
from tests.nets.base import NetTest


class TestR2UNet(NetTest):
    """39,091,393 is what the widely used public implementation (LeeJunHyun/Image_Segmentation) has with t = 2."""

    NET: ClassVar[dict[str, Any]] = {"name": "r2unet"}
    PARAMETERS: ClassVar = {(3, 1): 39_091_393}
    LOGITS: ClassVar = [0.4543, 0.3216, 0.4434, -0.0443]

    def test_t_below_one(self) -> None:
        with pytest.raises(UserError, match=r"net\.t: must be 1 or more \(found 0\)"):
            nets.build({"name": "r2unet", "t": 0}, 1, 1)
