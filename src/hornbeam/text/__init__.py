"""Text: tokenizers, language models of published families, and the text that they generate.

Tokenizers run on the library tokenizers, chat templates on jinja2: the extra `text`.
"""

from __future__ import annotations

from hornbeam._internal.lazy_imports import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
