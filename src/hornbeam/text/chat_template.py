"""Chat templates: Jinja of files from strangers, rendered by jinja2's sandbox within a budget of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam._internal.extras import required
from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError


def render(template: str, messages: Sequence[Mapping[str, Any]], variables: Mapping[str, Any]) -> str:
    """Render a chat template, and return the prompt.

    Raises:
        ModelFileError: If the template is no valid Jinja, or asks for more than a template may.
        ValueError: If the template itself refuses the messages, or fails on them.
    """
    if len(template) > current_budget().short_text:
        raise ModelFileError(f"the chat template has {len(template):,} characters, which is too many")
    with required("chat templates need jinja2", "text"):
        import jinja2
        from jinja2.exceptions import SecurityError

        from hornbeam.text.template_sandbox import MOST_CHARACTERS, TemplateSandbox
    environment = TemplateSandbox()
    pieces, size = [], 0
    try:
        for piece in environment.from_string(template).generate(
            messages=[dict(each) for each in messages], **variables
        ):
            size += len(piece)
            if size > MOST_CHARACTERS:
                raise SecurityError(f"it makes a text of more than {MOST_CHARACTERS:,} characters")
            pieces.append(piece)
    except (jinja2.TemplateSyntaxError, SecurityError, RecursionError, MemoryError) as error:
        raise ModelFileError(f"the chat template is not accepted: {error}") from error
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"the chat template fails on these messages: {error}") from error
    return "".join(pieces)
