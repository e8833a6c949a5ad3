"""`HyperParameters`: what a build function asks for its settings, by the names and methods of KerasTuner."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hornbeam._internal.formatting import brief

if TYPE_CHECKING:
    import optuna

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter: numbers of a range, or one of several values.

    Args:
        name: Its name.
        values: The values, if it is one of several.
        low: Least number.
        high: Largest number, which is included.
        step: Distance of the numbers, None for any float.
        log: True to draw numbers evenly on a logarithmic scale.
        default: Value without a search.
    """

    name: str
    values: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    default: Value = 0

    @property
    def is_integer(self) -> bool:
        """True for a range of integers."""
        return not self.values and isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: optuna.Trial) -> Value:
        """Return the value that a trial of Optuna draws."""
        if self.values:
            chosen: Any = trial.suggest_categorical(self.name, self.values)
            return chosen
        if self.is_integer:
            step = int(self.step or 1)
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=step, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def grid(self) -> tuple[Value, ...]:
        """Return all values.

        Raises:
            ValueError: For floats without a step, which are too many.
        """
        if self.values:
            return self.values
        if not self.is_integer and self.step is None:
            raise ValueError(f"a grid needs a step for {self.name!r}: Float(..., step=...), or Choice")
        step = self.step or 1
        count = int((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.low + i * step for i in range(count))


def grid(space: Mapping[str, Parameter]) -> list[dict[str, Value]]:
    """Return all combinations of the values of hyperparameters, that of all defaults first.

    Raises:
        ValueError: For floats without a step.
    """
    axes = [parameter.grid() for parameter in space.values()]
    every = [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]
    defaults = {name: parameter.default for name, parameter in space.items()}
    return sorted(every, key=lambda values: values != defaults)


def described(values: Mapping[str, Value]) -> str:
    """Return settings as text: "units=64, rate=0.001"."""
    return ", ".join(f"{name}={value_text(value)}" for name, value in values.items()) or "default settings"


def value_text(value: Any) -> str:
    """Return a value as text, floats with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class HyperParameters:
    """The settings of one trial, which a build function asks for by name.

    The methods are KerasTuner's. The first call with a name defines the hyperparameter; without a search it
    has its default.

    Args:
        values: Values by name. Hyperparameters that are missing have their defaults.

    Example:
        >>> hp = hornbeam.tuning.HyperParameters({"units": 64})
        >>> hp.Int("units", 32, 256, step=32), hp.Float("rate", 1e-4, 1e-1, sampling="log")
        (64, 0.0001)
    """

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        known = dict(values or {})
        self._setup(lambda parameter: known.get(parameter.name, parameter.default))

    @classmethod
    def drawn_by(cls, draw: Callable[[Parameter], Value]) -> HyperParameters:
        """Return settings whose values a function draws.

        Args:
            draw: Function that returns the value of a `Parameter`.
        """
        drawn = cls.__new__(cls)
        drawn._setup(draw)
        return drawn

    def _setup(self, draw: Callable[[Parameter], Value]) -> None:
        self._draw = draw
        # What was asked for, by name, in order.
        self.space: dict[str, Parameter] = {}
        self.values: dict[str, Value] = {}
        self._is_active = True

    # -- KerasTuner's methods --------------------------------------------------------------------------------

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str | None = None,
        default: int | None = None,
    ) -> int:
        """Ask for an integer.

        Args:
            name: Name of the hyperparameter.
            min_value: Least value.
            max_value: Largest value, which is included.
            step: Distance of the values, 1 by default; with `sampling="log"` their quotient.
            sampling: "linear", or "log" for integers whose logarithm is drawn evenly.
            default: Value without a search, `min_value` by default.

        Returns:
            The integer.

        Raises:
            ValueError: For an empty range, or another definition under the name.
        """
        self._check_range(name, min_value, max_value, sampling)
        low, high = int(min_value), int(max_value)
        if sampling == "log" and step is not None:
            return int(self.ask(self._powers(name, low, high, step, default)))
        start = low if default is None else int(default)
        return int(self.ask(Parameter(name, (), low, high, step, sampling == "log", start)))

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str | None = None,
        default: float | None = None,
    ) -> float:
        """Ask for a float.

        Args:
            name: Name of the hyperparameter.
            min_value: Least value.
            max_value: Largest value, which is included.
            step: Distance of the values, None for any float; with `sampling="log"` their quotient.
            sampling: "linear", or "log" for floats whose logarithm is drawn evenly.
            default: Value without a search, `min_value` by default.

        Returns:
            The float.

        Raises:
            ValueError: For an empty range, or another definition under the name.
        """
        self._check_range(name, min_value, max_value, sampling)
        low, high = float(min_value), float(max_value)
        if sampling == "log" and step is not None:
            return float(self.ask(self._powers(name, low, high, step, default)))
        start = low if default is None else float(default)
        return float(self.ask(Parameter(name, (), low, high, step, sampling == "log", start)))

    def Choice(
        self, name: str, values: Sequence[Value], ordered: bool | None = None, default: Value | None = None
    ) -> Value:
        """Ask for one of several values.

        Args:
            name: Name of the hyperparameter.
            values: Numbers, strings or bools.
            ordered: Has no effect: the samplers take choices as unordered.
            default: Value without a search, the first by default.

        Returns:
            The value.

        Raises:
            ValueError: If there are no values, `default` is not among them, or the name has another
                definition.
        """
        choices = tuple(values)
        if not choices or (default is not None and default not in choices):
            raise ValueError(f"Choice({name!r}): default={default!r} must be among the values {choices}")
        return self.ask(Parameter(name, choices, default=choices[0] if default is None else default))

    def Boolean(self, name: str, default: bool = False) -> bool:
        """Ask for True or False.

        Args:
            name: Name of the hyperparameter.
            default: Value without a search.
        """
        return bool(self.ask(Parameter(name, (False, True), default=default)))

    def Fixed(self, name: str, value: Value) -> Value:
        """Return a value that no search changes, and record it.

        Args:
            name: Name of the hyperparameter.
            value: Its value.
        """
        return self.ask(Parameter(name, (value,), default=value))

    def get(self, name: str) -> Value:
        """Return the value of a hyperparameter that was asked for.

        Args:
            name: Its name.

        Raises:
            KeyError: If there is none of this name.
        """
        if name not in self.values:
            raise KeyError(f"no hyperparameter {name!r} so far, only {', '.join(self.values) or 'none'}")
        return self.values[name]

    @contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Value | Sequence[Value]) -> Iterator[None]:
        """Ask for hyperparameters that have an effect only for some values of another one.

        In the context they are drawn if the other one has such a value, and else have their defaults, without
        being part of the trial.

        Args:
            parent_name: The other hyperparameter.
            parent_values: Value, or values.
        """
        several = isinstance(parent_values, Sequence) and not isinstance(parent_values, str)
        wanted: Any = parent_values if several else [parent_values]
        before = self._is_active
        self._is_active = before and self.get(parent_name) in wanted
        try:
            yield
        finally:
            self._is_active = before

    # -- the work --------------------------------------------------------------------------------------------

    def ask(self, parameter: Parameter) -> Value:
        """Return the value of a hyperparameter, which becomes part of the trial.

        Args:
            parameter: The hyperparameter.

        Raises:
            ValueError: If another one has its name.
        """
        if not isinstance(parameter.name, str) or not parameter.name:
            raise TypeError(f"a hyperparameter's name must be a string, got {brief(parameter.name)}")
        if not self._is_active:
            return parameter.default
        known = self.space.setdefault(parameter.name, parameter)
        if known != parameter:
            raise ValueError(
                f"the hyperparameter {parameter.name!r} was asked for with another range or other values: "
                "give the second one another name"
            )
        if parameter.name not in self.values:
            self.values[parameter.name] = self._draw(parameter)
        return self.values[parameter.name]

    @staticmethod
    def _check_range(name: str, low: Any, high: Any, sampling: str | None) -> None:
        if sampling not in (None, "linear", "log"):
            raise ValueError(f"{name!r}: sampling must be 'linear' or 'log', got {sampling!r}")
        if not low <= high or (sampling == "log" and low <= 0):
            least = "0 < min_value <= max_value" if sampling == "log" else "min_value <= max_value"
            raise ValueError(f"{name!r} needs {least}, got {low!r} and {high!r}")

    @staticmethod
    def _powers(name: str, low: Any, high: Any, step: float, default: Any) -> Parameter:
        if step <= 1:
            raise ValueError(f"{name!r}: with sampling='log' step is a quotient above 1, got {step!r}")
        values = [low]
        while values[-1] * step <= high:
            values.append(values[-1] * step)
        return Parameter(name, tuple(values), default=low if default is None else default)
