"""The program that makes a model again, to go on from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from hornbeam.auto.columns import Column
from hornbeam.auto.search import Member, kind_of
from hornbeam.auto.task import Task


def program(
    source: str | None,
    columns: Sequence[Column],
    task: Task,
    members: Sequence[Member],
    options: dict[str, Any],
) -> str:
    """Return the text of a program.

    Args:
        source: Path of the table; without one the program has a place for it.
        columns: All columns but the target.
        task: The prediction task.
        members: Parts of the mixture.
        options: `groups`, `time_column`, `coverage` and `seed` of `fit`.
    """
    lines = [
        '"""Makes the model again that `hornbeam fit` found. Change what you like, and run it."""',
        "",
        "from hornbeam import auto",
        "from hornbeam.auto import Column, Member, Net, Task, Trees",
        "",
        f"TABLE = {source!r}" if source else "TABLE = ...  # the path of the table, or a frame",
        "",
        "# What each column is: number, category, date or left out.",
        "columns = [",
        *(f"    {_call(dataclasses.replace(column, reason=''))},  # {column.reason}" for column in columns),
        "]",
        f"task = {_call(dataclasses.replace(task, target=dataclasses.replace(task.target, reason='')))}",
        "",
        "# Parts of the mixture. lengths: epochs or rounds of each fold.",
        "members = [",
    ]
    for member in members:
        lines += [
            f"    # {kind_of(member.candidate)}, {member.weight:.1%} of the prediction",
            f"    Member({_call(member.candidate)}, number={member.number}, weight={member.weight!r}, "
            f"lengths={member.lengths!r}),",
        ]
    arguments = {name: options[name] for name in ("groups", "time_column", "coverage", "seed")}
    shown = ", ".join(f"{name}={value!r}" for name, value in arguments.items() if value is not None)
    lines += [
        "]",
        f"model = auto.train(TABLE, columns, task, members, {shown})",
        'model.save("again")',
        "",
    ]
    return "\n".join(lines)


def _call(value: Any) -> str:
    """Return the call of a dataclass, without arguments that are as by default."""
    shown = []
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item != field.default:
            shown.append(f"{field.name}={item!r}")
    return f"{type(value).__name__}({', '.join(shown)})"
