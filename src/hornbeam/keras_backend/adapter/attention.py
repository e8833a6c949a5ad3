"""Attention with dropout as one operation, where Keras composes it."""

from __future__ import annotations

import functools
import math
from typing import Any

from hornbeam import ops
from hornbeam.ops.attention import masked_attention


def fuse_dropout(layer: Any) -> None:
    """Let a class of layers compute attention with dropout as one operation, with the bits of Keras's."""
    composed = layer._compute_attention

    @functools.wraps(composed)
    def _compute_attention(
        self: Any,
        query: Any,
        key: Any,
        value: Any,
        attention_mask: Any = None,
        training: Any = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Any:
        rate = self._dropout_layer.rate
        scores = return_attention_scores or getattr(self, "_return_attention_scores", False)
        if not rate or scores or len(query.shape) != 4:
            options = {"return_attention_scores": True} if return_attention_scores else {}
            return composed(
                self, query, key, value, attention_mask, training, use_causal_mask=use_causal_mask, **options
            )
        if attention_mask is not None and len(attention_mask.shape) == 3:
            attention_mask = ops.expand_dims(attention_mask, 1)
        seed = self._dropout_layer.seed_generator.next() if training else None
        return masked_attention(
            query,
            key,
            value,
            attention_mask,
            scale=1.0 / math.sqrt(query.shape[-1]),
            is_causal=use_causal_mask,
            rate=rate if training else 0.0,
            seed=seed,
        ), None

    layer._compute_attention = _compute_attention
