"""Files of tokenizers, read within `saving.budget`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbeam._internal.limits import current_budget
from hornbeam.errors import ModelFileError

FILE, SETTINGS, TEMPLATE = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"


def file_of(path: Path) -> Path:
    if path.is_dir():
        for name in (FILE, "vocab.json", "vocab.txt"):
            if (path / name).is_file():
                return path / name
        raise FileNotFoundError(f"{path} has no {FILE}, vocab.json or vocab.txt")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    return path


def read_text(path: Path) -> str:
    # Vocabularies may have 8 times the bytes of other texts: see `saving.Budget`.
    limit = 8 * current_budget().short_text
    if path.stat().st_size > limit:
        raise ModelFileError(
            f"{path} has more than {limit:,} bytes: raise hornbeam.saving.budget(text=...) if you trust it"
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{path} is no text: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    value = parsed(path, json.loads, read_text(path))
    if not isinstance(value, dict):
        raise ModelFileError(f"{path} must contain a JSON object, got {type(value).__name__}")
    return value


def parsed(path: Path, parse: Any, text: str) -> Any:
    try:
        return parse(text)
    except Exception as error:  # tokenizers raises Exception itself
        raise ModelFileError(f"{path} cannot be read: {str(error)[:300]}") from error


def read_merges(path: Path) -> list[tuple[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: vocab.json needs it beside itself")
    lines = [line for line in read_text(path).split("\n") if line and not line.startswith("#version")]
    pairs = [tuple(line.split(" ")) for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        raise ModelFileError(f"{path}: a line must have two tokens with a space between them")
    return pairs  # type: ignore[return-value]


def token_text(token: Any) -> str | None:
    """Return a special token of tokenizer_config.json: a string, or a dict that describes it."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def template_beside(path: Path, settings: Mapping[str, Any]) -> str | None:
    if path.with_name(TEMPLATE).is_file():
        return read_text(path.with_name(TEMPLATE))
    template = settings.get("chat_template")
    if isinstance(template, list):  # several by name
        named = {each.get("name"): each.get("template") for each in template if isinstance(each, dict)}
        template = named.get("default")
    return template if isinstance(template, str) else None
