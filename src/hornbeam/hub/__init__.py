"""Models on the Hugging Face Hub: load them, and push them with a card that states facts.

Needs huggingface_hub, which has the cache, tokens and revisions: the extra `hub`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hornbeam._internal.lazy_imports import attach

_NAMES = {
    "download": "loading",
    "load": "loading",
    "ModelCard": "card",
    "prepare": "pushing",
    "push": "pushing",
}

if TYPE_CHECKING:
    from hornbeam.hub.card import ModelCard as ModelCard
    from hornbeam.hub.loading import download as download
    from hornbeam.hub.loading import load as load
    from hornbeam.hub.pushing import prepare as prepare
    from hornbeam.hub.pushing import push as push
else:
    __getattr__, __dir__, __all__ = attach(__name__, _NAMES)
