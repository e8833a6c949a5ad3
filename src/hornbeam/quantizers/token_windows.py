"""Sequences of tokens for GPTQ and AWQ, from texts or arrays of token ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam._internal.formatting import brief
from hornbeam.quantizers.configs import CalibratedConfig


def token_windows(config: CalibratedConfig) -> np.ndarray:
    """Cut sequences from the data of a config at even distances.

    Args:
        config: Its `dataset` has texts, which its `tokenizer` converts, or arrays of token ids.

    Returns:
        Array (num_samples, sequence_length) of int32.

    Raises:
        ValueError: If there are no data, or no tokenizer for texts.
        TypeError: If the dataset is none.
    """
    name, dataset = type(config).__name__, config.dataset
    if dataset is None:
        raise ValueError(f"{name} has no dataset: {config.mode} looks at texts or token ids of the task")
    if not isinstance(dataset, Iterable) or isinstance(dataset, (str, bytes)):
        raise TypeError(f"{name}: dataset must be an iterable of texts or token ids, got {brief(dataset)}")
    pieces = [_tokens(item, config) for item in dataset]
    tokens = np.concatenate(pieces) if pieces else np.zeros(0, "int32")
    if not tokens.size:
        raise ValueError(f"{name}: the dataset is empty")
    length, count = config.sequence_length, config.num_samples
    if tokens.size < length * count:
        tokens = np.tile(tokens, -(-length * count // tokens.size))
    last = tokens.size - length
    starts = np.arange(count) * max(1, (last + 1) // count) % (last + 1)
    return tokens[starts[:, None] + np.arange(length)]


def _tokens(item: Any, config: CalibratedConfig) -> np.ndarray:
    if not isinstance(item, (str, bytes)):
        return np.asarray(item).reshape(-1).astype("int32")
    if config.tokenizer is None:
        raise ValueError(f"{type(config).__name__}: texts need a tokenizer with a method tokenize(text)")
    tokenize = getattr(config.tokenizer, "tokenize", config.tokenizer)
    return np.asarray(ops.convert_to_numpy(tokenize(item))).reshape(-1).astype("int32")
