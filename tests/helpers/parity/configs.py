"""Configs of objects, exchanged between both sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras

import hornbeam
from tests.helpers.parity.comparison import Comparison, plain

SIDES = (hornbeam, keras)


def check_configs(compare: Comparison, module: str, ours: Any, theirs: Any) -> None:
    """The configs are equal, and each side reads what the other one writes."""
    here, there = hornbeam, keras
    for part in module.split("."):
        here, there = getattr(here, part), getattr(there, part)
    written, other = here.serialize(ours), there.serialize(theirs)
    compare.same("config", plain(written), plain(other))

    def read(side: Any, text: str) -> Any:
        return plain(side.deserialize(json.loads(text)).get_config())

    def equal(result: Callable[[], Any], expected: Any) -> Callable[[], None]:
        def run() -> None:
            assert result() == expected

        return run

    texts = json.dumps(written), json.dumps(other)
    compare.check("our config there", equal(lambda: read(there, texts[0]), plain(theirs.get_config())))
    compare.check("their config here", equal(lambda: read(here, texts[1]), plain(ours.get_config())))
