"""Random bits."""

from __future__ import annotations

import math

import numpy as np
import torch

from hornbeam.engines.random import random_bits as native_bits
from hornbeam.engines.torch.elementwise import Tensor

_WORD = 0xFFFFFFFF


def random_bits(key: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    """Compute threefry-2x32 with 20 rounds; see `primitives/random.py`. Words are carried by int64."""
    if key.device.type == "cpu":
        return torch.from_numpy(native_bits(key.numpy().astype(np.uint32), shape=shape).astype(np.int64))
    size = math.prod(shape)
    block = torch.arange((size + 1) // 2, device=key.device)
    keys = (key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDA)
    x, y = ((block >> 32) + keys[0]) & _WORD, (block + keys[1]) & _WORD
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = (x + y) & _WORD
            y = (((y << distance) | (y >> (32 - distance))) & _WORD) ^ x
        x = (x + keys[injection % 3]) & _WORD
        y = (y + keys[(injection + 1) % 3] + injection) & _WORD
    return torch.stack([x, y], -1).reshape(-1)[:size].reshape(shape)
