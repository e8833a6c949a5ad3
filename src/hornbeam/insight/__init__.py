"""What a model is and does, for people: summaries, explanations, reports, pictures."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> the module it lives in, imported when the name is first used.
_NAMES = {
    "Run": "runs",
    "RunError": "runs",
    "Told": "told",
    "Plan": "plan",
    "explain": "explaining",
    "explain_training": "training_told",
    "read_run": "runs",
}

__all__ = list(_NAMES)

if TYPE_CHECKING:
    from hornbeam.insight.explaining import explain as explain
    from hornbeam.insight.plan import Plan as Plan
    from hornbeam.insight.runs import Run as Run
    from hornbeam.insight.runs import RunError as RunError
    from hornbeam.insight.runs import read_run as read_run
    from hornbeam.insight.told import Told as Told
    from hornbeam.insight.training_told import explain_training as explain_training


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        from hornbeam.naming import nearest

        raise AttributeError(f"hornbeam.insight has no {name!r}.{nearest(name, __all__)}")
    value = getattr(importlib.import_module(f"hornbeam.insight.{_NAMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
