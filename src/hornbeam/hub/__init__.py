"""Models on the Hugging Face Hub: load them, and push them with a card that states facts.

Needs huggingface_hub, which has the cache, tokens and revisions: the extra `hub`.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
