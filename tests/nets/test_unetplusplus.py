"""U-Net++; the paper's table 1 says 9.04 million parameters, without batch normalisation.

By pencil: a block from i to c channels has 9ic + 9cc + 4c, enlarging from i to o 4io + o. The levels' 32, 64, 128, 256
and 512 channels give 4,714,208 for the blocks down from three channels; the nested blocks of the four rows, which
enlarge and join 1, 2, ... maps of their level, 269,056 and 541,632 and 1,295,616 and 2,295,040; the output 33.
"""

from __future__ import annotations

from typing import ClassVar

from tests.nets.base import NetTest


class TestUNetPlusPlus(NetTest):
    NET: ClassVar = {"name": "unetplusplus"}
    PARAMETERS: ClassVar = {(3, 1): 9_115_585, (2, 3): 9_115_585 - 9 * 32 + 2 * 33}
    LOGITS: ClassVar = [-0.3088, -0.0873, -0.1337, -0.0819]
