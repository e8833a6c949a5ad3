"""Single operations for what Keras composes: layer normalization, and attention with dropout."""

from __future__ import annotations

import functools
import math
from typing import Any

from hornbeam import ops
from hornbeam.extensions.tensors import masked_attention


def fuse_layer_normalization(module: Any) -> None:
    """Let `keras.ops.layer_normalization` be one operation."""
    composed = module._layer_normalization

    @functools.wraps(composed)
    def _layer_normalization(x: Any, *args: Any, rms_scaling: bool = False, **kwargs: Any) -> Any:
        if rms_scaling:
            return composed(x, *args, rms_scaling=True, **kwargs)
        return ops.layer_normalization(x, *args, **kwargs)

    module._layer_normalization = _layer_normalization


def fuse_dropout(module: Any) -> None:
    """Let attention with dropout be one operation, with the bits of Keras's."""
    multi_head = hasattr(module, "MultiHeadAttention")
    layer = module.MultiHeadAttention if multi_head else module.GroupedQueryAttention
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
        chosen: dict[str, Any] = {"scale": 1.0 / math.sqrt(query.shape[-1]), "is_causal": use_causal_mask}
        if training:
            chosen |= {"rate": rate, "seed": self._dropout_layer.seed_generator.next()}
        return masked_attention(query, key, value, attention_mask, **chosen), None

    layer._compute_attention = _compute_attention
