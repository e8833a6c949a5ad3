"""The sandbox of chat templates: what they may call, and how much they may do."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from jinja2 import compiler, nodes, sandbox
from jinja2.exceptions import SecurityError
from jinja2.ext import LoopControlExtension

# What one rendering may cost: turns of loops, calls and operators; and characters of a text.
_MOST_STEPS = 200_000
MOST_CHARACTERS = 4 << 20
# Methods whose result is no longer than their object and arguments together.
_METHODS = frozenset(
    """
    capitalize count endswith find get index isalnum isalpha isdigit islower isspace isupper items keys
    lower lstrip removeprefix removesuffix rfind rstrip split splitlines startswith strip title upper
    values
    """.split()  # noqa: SIM905
)
_FILTERS = frozenset(
    """
    abs capitalize count d default dictsort first float int items join last length list lower map max min
    reject rejectattr reverse round safe select selectattr sort string sum title trim unique upper
    """.split()  # noqa: SIM905
)


class _Generator(compiler.CodeGenerator):
    """Writes code whose `~` goes through the environment, as calls do by themselves."""

    def visit_Concat(self, node: Any, frame: Any) -> None:
        self.write("environment.joined((")
        for each in node.nodes:
            self.visit(each, frame)
            self.write(", ")
        self.write("))")


class TemplateSandbox(sandbox.ImmutableSandboxedEnvironment):
    """A sandbox in which loops, calls and texts have a budget."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension])
        self.steps = 0
        own = {"counted": self.counted, "tojson": _to_json}
        self.filters = {**{name: self.filters[name] for name in _FILTERS}, **own}
        self.globals = {
            "dict": dict, "namespace": self.globals["namespace"], "range": self.counted_range,
            "raise_exception": _refuse, "strftime_now": _now,
        }  # fmt: skip

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
        tree.set_environment(self)
        return tree

    def spend(self, steps: int) -> None:
        self.steps += steps
        if self.steps > _MOST_STEPS:
            raise SecurityError(f"it takes more than {_MOST_STEPS:,} steps")

    def counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self.spend(1)
            yield item

    def counted_range(self, *arguments: int) -> range:
        numbers = range(*arguments)
        self.spend(min(len(numbers), 2 * _MOST_STEPS))
        return numbers

    def checked(self, value: Any) -> Any:
        self.spend(1)
        if isinstance(value, (str, list, tuple)) and len(value) > MOST_CHARACTERS:
            raise SecurityError(f"it makes a text of more than {MOST_CHARACTERS:,} characters")
        if isinstance(value, int) and value.bit_length() > 64:
            raise SecurityError("it computes integers of more than 64 bits")
        return value

    def joined(self, values: Sequence[Any]) -> str:
        return str(self.checked("".join(map(str, values))))

    def wrap_str_format(self, value: Any) -> None:
        # `format` is an attribute like others: a width makes a text of any length.
        return None

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        safe = super().is_safe_attribute(obj, attr, value)
        return safe and (not isinstance(obj, (str, list, tuple, dict)) or attr in _METHODS)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
        if operator != "+" and not numbers:
            raise SecurityError(f"{operator} is for numbers alone")
        if operator == "**" and (abs(left) > 1000 or abs(right) > 6):
            raise SecurityError("it computes large powers")
        return self.checked(super().call_binop(context, operator, left, right))

    def call(self, context: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
        return self.checked(super().call(context, function, *args, **kwargs))


def _to_json(value: Any, indent: int | None = None) -> str:
    # Not Jinja's own, which escapes for HTML.
    return json.dumps(value, ensure_ascii=False, indent=None if indent is None else min(int(indent), 8))


def _refuse(message: str) -> None:
    raise ValueError(f"the chat template refuses the messages: {message}")


def _now(format: str) -> str:
    return datetime.datetime.now().strftime(format[:100])
