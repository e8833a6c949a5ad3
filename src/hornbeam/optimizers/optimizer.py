"""The base of all optimizers: everything but the rule (`optimizers/rules*.py`)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hornbeam import ops
from hornbeam._internal.call_errors import ArgumentChecks, unknown_arguments
from hornbeam._internal.naming import to_snake_case, unique_name
from hornbeam._internal.other_libraries import OPTIMIZERS, add_attribute_hints
from hornbeam._internal.typing import Config
from hornbeam._internal.validation import check_int, check_number
from hornbeam._internal.warn import warn_user
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.configurable import own_arguments
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Self, TensorLike
from hornbeam.core.variable import Variable, current_variable_tracer
from hornbeam.errors import ArgumentTypeError
from hornbeam.ir.scope import scope
from hornbeam.ir.types import ShapeError, is_float
from hornbeam.optimizers.arguments import check_learning_rate, merged_signature, shortest_float
from hornbeam.optimizers.averaging import overwrite_every, update_averages
from hornbeam.optimizers.clipping import check_clipping, clip_gradients
from hornbeam.optimizers.fine_tuning import FineTuning
from hornbeam.optimizers.optimizer_variables import OptimizerVariables
from hornbeam.optimizers.schedules import LearningRateSchedule
from hornbeam.optimizers.updates import Updates, record_gradients_of

if TYPE_CHECKING:
    from typing import TypeAlias

    OptimizerLike: TypeAlias = str | Config | "Optimizer"

LearningRate = float | LearningRateSchedule | Callable[[], Any]
Gradients = Sequence[Tensor | None]

# Scalars of a rule (powers of beta, step counts) are computed at least in this dtype.
_SCALAR = "float32"


@exported("keras.optimizers")
class Optimizer(FineTuning, OptimizerVariables, ArgumentChecks):
    """Base class of optimizers: a rule is its `slots` (state per variable) and one `update_step`.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        weight_decay: Number; w <- w - w * weight_decay * learning_rate before each update (decoupled,
            Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101). None for no decay.
        clipnorm: Number; each gradient is scaled down to at most this L2 norm. At most one of the three
            limits can be set.
        clipvalue: Number; each entry of a gradient is limited to [-clipvalue, clipvalue].
        global_clipnorm: Number; all gradients together are scaled down to at most this norm (Pascanu et al.
            2013, https://arxiv.org/abs/1211.5063).
        use_ema: Keep the average a <- ema_momentum * a + (1 - ema_momentum) * w of each variable.
        ema_momentum: Number in [0, 1], the momentum of the averages.
        ema_overwrite_frequency: Integer; after every so many updates (and at the end of `fit`) the variables
            take their averages. None for the end only.
        loss_scale_factor: Number by which the loss is multiplied before differentiation and the gradients are
            divided, or None.
        gradient_accumulation_steps: Integer >= 2; update once per so many calls, with the mean of their
            gradients. None for every call.
        name: Name; None for one from the class name.
        learning_rate_multipliers: Dict from names or paths of layers to numbers of at least 0, by which the
            learning rate of their weights is multiplied, as in `{"base": 0.1}`; the innermost layer counts.
            Not in Keras. None for 1 everywhere.
        **kwargs: No further arguments; those of older versions of Keras are named in the error.

    Raises:
        ValueError: If arguments contradict each other.
        TypeError: If an argument is unknown.

    Example:
        >>> optimizer = hornbeam.optimizers.SGD(learning_rate=0.1)
        >>> optimizer.apply([gradient], [weight])  # doctest: +SKIP
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Show the arguments of `Optimizer` in the signature of a rule in place of its `**kwargs`."""
        super().__init_subclass__(**kwargs)
        cls.__signature__ = merged_signature(cls.__init__, Optimizer.__init__)  # type: ignore[attr-defined]

    def __init__(
        self,
        learning_rate: LearningRate,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        learning_rate_multipliers: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.pop("decay", None) is not None:
            raise ValueError(
                "`decay` belongs to Keras 1: pass a schedule such as InverseTimeDecay as `learning_rate`"
            )
        if kwargs:
            raise ArgumentTypeError(
                unknown_arguments(type(self).__name__, kwargs, inspect.signature(type(self)).parameters)
            )
        check_clipping(clipnorm, clipvalue, global_clipnorm)
        check_number("ema_momentum", ema_momentum, minimum=0, maximum=1)
        if ema_overwrite_frequency is not None:
            check_int("ema_overwrite_frequency", ema_overwrite_frequency, minimum=1)
        if gradient_accumulation_steps is not None:
            check_int("gradient_accumulation_steps", gradient_accumulation_steps, minimum=2)
        self.name = name or unique_name(to_snake_case(type(self).__name__))
        self.weight_decay = None if weight_decay is None else check_number("weight_decay", weight_decay)
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._begin_fine_tuning(learning_rate_multipliers)
        self._variables = []
        self._trainable_variables: list[Variable] = []
        self._slots: dict[str, dict[Variable, Variable]] = {}
        self._no_decay: set[Variable] = set()
        self._no_decay_pattern: re.Pattern[str] | None = None
        self._iterations = self.add_variable((), "zeros", "int64", name="iteration")
        if callable(learning_rate) and not isinstance(learning_rate, type):
            self._learning_rate: Variable | Callable[..., Any] = learning_rate
        else:
            rate = check_learning_rate(learning_rate)
            self._learning_rate = self.add_variable((), rate, floatx(), name="learning_rate")

    # -- state -----------------------------------------------------------------------------------------------

    def slots(self) -> Sequence[Mapping[str, Any]]:
        """Return names and initial values of the state that the rule keeps for each variable.

        One dict per group: within a group the slots of a variable are adjacent, and groups follow each other.
        This is the order of `variables`, and so of files.
        """
        return ()

    def build(self, variables: Sequence[Variable]) -> None:
        """Create the state for variables. Called by the first `apply`; a second call does nothing.

        Args:
            variables: Sequence of floating-point variables that will be trained.

        Raises:
            ValueError: If `variables` is empty.
            TypeError: If one of them is not a floating-point variable.
        """
        if self.built:
            return
        if not variables:
            raise ValueError(f"{self.name} got no variables to train: is the model built and trainable?")
        for variable in variables:
            if not isinstance(variable, Variable) or not is_float(variable.dtype):
                raise TypeError(f"{self.name} can only train floating-point Variables, got {variable!r}")
        self._before_build = set(self._variables)
        updated = updated_variables(variables)
        if self.use_ema:
            self._slots["average"] = dict(
                zip(updated, self.add_optimizer_variables(updated, "average"), strict=True)
            )
        if self.gradient_accumulation_steps:
            accumulators = self.add_optimizer_variables(updated, "gradient_accumulator")
            self._slots["gradient_accumulator"] = dict(zip(updated, accumulators, strict=True))
        for group in self.slots():
            columns = self.add_optimizer_variables(updated, list(group), list(group.values()))
            for name, column in zip(group, columns, strict=True):
                self._slots[name] = dict(zip(updated, column, strict=True))
        self._trainable_variables = list(variables)
        self.built = True
        if self._counts_of_config:
            self._joined_counts, self._counts_of_config = self._counts_of_config, ()

    def slot(self, variable: Variable, name: str) -> Variable:
        """Return a state of a variable.

        Args:
            variable: Trained variable.
            name: Name of the state.

        Returns:
            Variable.
        """
        return self._slots[name][variable]

    # -- the numbers a rule reads ----------------------------------------------------------------------------

    @property
    def iterations(self) -> Tensor:
        """Number of updates so far, a scalar int64 tensor."""
        if self.gradient_accumulation_steps:
            return self._iterations // self.gradient_accumulation_steps
        return self._iterations

    @property
    def learning_rate(self) -> Variable:
        """Learning rate of the next update; assign a number to change it, a schedule to replace it."""
        # The type is that of the common case: a schedule or function gives a tensor or a number.
        if isinstance(self._learning_rate, LearningRateSchedule):
            return cast("Variable", self._learning_rate(self._iterations))
        rate = self._learning_rate
        return rate if isinstance(rate, Variable) else cast("Variable", rate())

    @learning_rate.setter
    def learning_rate(self, value: LearningRate | TensorLike) -> None:
        if callable(value) and not isinstance(value, Tensor):
            self._variables = [v for v in self._variables if v is not self._learning_rate]
            self._learning_rate = value
        elif isinstance(self._learning_rate, Variable):
            self._learning_rate.assign(value)
        else:
            raise TypeError(
                f"the learning rate of {self.name} follows {self._learning_rate!r}, so it cannot be set to "
                f"{value!r}: give the optimizer a number as learning_rate, or assign another schedule"
            )

    def local_step(self, variable: Variable) -> Tensor:
        """Return the number of this update, from 1 on; of a variable that joined later, since then.

        Args:
            variable: Variable, which also determines the dtype.

        Returns:
            Scalar tensor of floats.
        """
        step = self.iterations + 1
        if variable in self._joined:
            joined = self._joined[variable]
            # A count that is larger belongs to a state that was not loaded.
            step = ops.where(step > joined, step - joined, step)
        return ops.cast(step, "float64" if variable.dtype == "float64" else _SCALAR)

    # -- updating --------------------------------------------------------------------------------------------

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        """Assign new values to a variable and its slots; subclasses define it.

        Args:
            gradient: Tensor of the shape and dtype of `variable`.
            variable: Variable that is updated.
            learning_rate: Scalar tensor of the dtype of `variable`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update_step(gradient, variable, learning_rate)"
        )

    def assign(self, variable: Variable, value: TensorLike) -> None:
        """Replace the value of a variable.

        Args:
            variable: Variable.
            value: Tensor of its shape.
        """
        variable.assign(value)

    def assign_add(self, variable: Variable, value: TensorLike) -> None:
        """Add to the value of a variable.

        Args:
            variable: Variable.
            value: Tensor that broadcasts to its shape.
        """
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: TensorLike) -> None:
        """Subtract from the value of a variable.

        Args:
            variable: Variable.
            value: Tensor that broadcasts to its shape.
        """
        variable.assign_sub(value)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | None, Variable]]) -> Variable:
        """Update variables, given pairs of gradient and variable.

        Args:
            grads_and_vars: Iterable of pairs, such as `zip(gradients, variables)`.

        Returns:
            Variable that counts the calls.

        Raises:
            TypeError: If `grads_and_vars` are not pairs.
        """
        try:
            pairs = [(gradient, variable) for gradient, variable in grads_and_vars]
        except TypeError:
            raise TypeError(
                f"apply_gradients takes pairs, zip(gradients, variables), got {grads_and_vars!r}"
            ) from None
        self.apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        return self._iterations

    def apply(self, grads: Gradients, trainable_variables: Sequence[Variable] | None = None) -> None:
        """Update variables by their gradients.

        The first call builds the optimizer on `trainable_variables`.

        Args:
            grads: Sequence of tensors of the shapes of the variables; None leaves a variable unchanged.
            trainable_variables: Sequence of variables, in the order of the gradients; None for those of
                `build`.

        Raises:
            ValueError: If the optimizer was not built on one of the variables, or no gradient exists.
            ShapeError: If the shape of a gradient differs from that of its variable.
        """
        variables = self._known(trainable_variables)
        pairs = self._checked_pairs(list(grads), variables)
        record_gradients_of(pairs)
        with scope(self.name), Updates() as step:
            self._apply([gradient for gradient, _ in pairs], [variable for _, variable in pairs])
        step.commit()

    def _known(self, trainable_variables: Sequence[Variable] | None) -> list[Variable]:
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    f"{self.name} is not built: pass the variables along, or call build(variables) first"
                )
            self.check_multipliers(self._trainable_variables)
            return self._trainable_variables
        if not self.built:
            self.build(list(trainable_variables))
        self.check_multipliers(trainable_variables)
        known = set(self._trainable_variables)
        unknown = [v.path for v in trainable_variables if v not in known]
        if unknown:
            raise ValueError(
                f"{self.name} was not built on {', '.join(unknown)}. Build it on all variables that it will "
                "train (`optimizer.build(model.trainable_variables)`), or call model.compile() again with a "
                "new optimizer, after layers were added or unfrozen"
            )
        return list(trainable_variables)

    def _checked_pairs(
        self, grads: list[Tensor | None], variables: list[Variable]
    ) -> list[tuple[Tensor, Variable]]:
        if len(grads) != len(variables):
            raise ValueError(f"{self.name} got {len(grads)} gradients for {len(variables)} variables")
        pairs = [
            (gradient, variable)
            for gradient, variable in zip(grads, variables, strict=True)
            if gradient is not None
        ]
        if not pairs:
            raise ValueError(f"{self.name} got no gradient for any variable: does the loss depend on them?")
        if len(pairs) < len(variables):
            without = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
            warn_user(f"no gradient for {', '.join(without)}: the loss does not depend on them")
        for gradient, variable in pairs:
            if tuple(gradient.shape) != variable.shape:
                raise ShapeError(
                    f"the gradient for {variable.path!r} has shape {tuple(gradient.shape)}, the variable "
                    f"{variable.shape}"
                )
        return [(ops.cast(gradient, variable.dtype), variable) for gradient, variable in pairs]

    def _apply(self, grads: list[Tensor], variables: list[Variable]) -> None:
        grads, variables = _overwrite_with_gradients(grads, variables)
        if self.loss_scale_factor is not None:
            grads = [gradient / self.loss_scale_factor for gradient in grads]
        if self.gradient_accumulation_steps:
            self._accumulate(grads, variables, self.gradient_accumulation_steps)
        else:
            self._update(grads, variables)
        if self.use_ema:
            update_averages(self.averages(), self.ema_momentum, self.iterations)
            if self.ema_overwrite_frequency:
                overwrite_every(
                    self.ema_overwrite_frequency,
                    self.iterations,
                    lambda: self.finalize_variable_values(self._trainable_variables),
                )
        for variable in variables:
            if variable.constraint is not None:
                variable.assign(variable.constraint(variable.value))
        self._iterations.assign_add(1)

    def _update(self, grads: list[Tensor], variables: list[Variable]) -> None:
        """Clip, decay, and apply the rule to every variable."""
        grads = clip_gradients(grads, self.clipnorm, self.clipvalue, self.global_clipnorm)
        rates = self._rates(variables)
        for variable, rate in zip(variables, rates, strict=True):
            decay = self._decay_of(variable)
            if decay is not None:
                variable.assign(variable - variable * (rate * decay))
        for gradient, variable, rate in zip(grads, variables, rates, strict=True):
            self.update_step(gradient, variable, rate)

    def _rates(self, variables: Sequence[Variable]) -> list[Tensor]:
        """Return the learning rate of each variable, in its dtype."""
        rate = self.learning_rate
        factors = [self.multiplier(variable) for variable in variables]
        return [
            ops.cast(rate if factor == 1 else rate * factor, variable.dtype)
            for factor, variable in zip(factors, variables, strict=True)
        ]

    def _accumulate(self, grads: list[Tensor], variables: list[Variable], steps: int) -> None:
        due = ops.equal((self._iterations + 1) % steps, 0)
        sums = [self.slot(v, "gradient_accumulator") + g for g, v in zip(grads, variables, strict=True)]
        with Updates() as update:
            self._update([total / steps for total in sums], variables)
        update.commit(when=due)
        for total, variable in zip(sums, variables, strict=True):
            self.slot(variable, "gradient_accumulator").assign(ops.where(due, ops.zeros_like(total), total))

    # -- weight decay and averages ---------------------------------------------------------------------------

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Exclude variables from weight decay.

        Args:
            var_list: Sequence of variables, or None.
            var_names: Regular expressions; variables whose name matches one of them are excluded. None for no
                names.

        Raises:
            ValueError: If the optimizer is built.
        """
        if self.built:
            raise ValueError(
                "exclude_from_weight_decay() must be called before the optimizer is built (first used)"
            )
        self._no_decay = set(var_list or ())
        self._no_decay_pattern = re.compile("|".join(var_names)) if var_names else None

    def _use_weight_decay(self, variable: Variable) -> bool:
        pattern = self._no_decay_pattern
        return variable not in self._no_decay and not (pattern is not None and pattern.search(variable.name))

    def _decay_of(self, variable: Variable) -> float | None:
        """Return the weight decay of a variable, None for no decay."""
        return self.weight_decay if self._use_weight_decay(variable) else None

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """Give variables their averages if `use_ema` is set; `fit` calls this at its end.

        Args:
            var_list: Sequence of variables.
        """
        if self.use_ema:
            for variable in var_list:
                variable.assign(self.slot(variable, "average").value)

    def averages(self) -> list[tuple[Variable, Variable]]:
        """Return pairs of variable and average if `use_ema` is set; empty before the optimizer is built."""
        return list(self._slots.get("average", {}).items())

    def scale_loss(self, loss: Tensor) -> Tensor:
        """Multiply a loss by `loss_scale_factor`; `apply` divides the gradients by it.

        Args:
            loss: Scalar tensor.

        Returns:
            Scalar tensor to differentiate.
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    # -- values, files, configs ------------------------------------------------------------------------------

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Gradients, trainable_variables: Sequence[Any]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Compute an update as a pure function.

        Args:
            optimizer_variables: Sequence of tensors, the values of `variables`.
            grads: Sequence of tensors of the shapes of the variables; None leaves a variable unchanged.
            trainable_variables: Sequence of tensors, the values of the trained variables.

        Returns:
            Pair of lists, the new values of the trained variables and of `variables`.

        Raises:
            ValueError: If the optimizer is not built or a number of values is wrong.
        """
        if not self.built:
            raise ValueError(f"{self.name} is not built: call build(variables) first")
        trainable, states = self._trainable_variables, self.variables
        if len(trainable_variables) != len(trainable) or len(optimizer_variables) != len(states):
            raise ValueError(
                f"{self.name} has {len(trainable)} trainable and {len(states)} state variables, got "
                f"{len(trainable_variables)} and {len(optimizer_variables)} values"
            )
        with Updates():
            for variable, value in zip(
                (*trainable, *states), (*trainable_variables, *optimizer_variables), strict=True
            ):
                variable.assign(value)
            self.apply(grads)
            return [variable.value for variable in trainable], [variable.value for variable in states]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments from which an equal optimizer is built; its state is in `variables`."""
        rate = self._learning_rate
        return {
            "name": self.name,
            "learning_rate": shortest_float(rate.numpy())
            if isinstance(rate, Variable)
            else registry.serialize(rate),
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
            **self._fine_tuning_config(),
            **own_arguments(self, Optimizer),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Self:
        """Build the optimizer that `get_config` described.

        Args:
            config: Dict of arguments.
            custom_objects: Classes and functions by name, in addition to the registered ones.

        Returns:
            Optimizer.
        """
        arguments = dict(config)
        if isinstance(arguments.get("learning_rate"), dict):
            arguments["learning_rate"] = registry.deserialize(arguments["learning_rate"], custom_objects)
        joined = arguments.pop("joined", ())
        optimizer = cls(**arguments)
        optimizer._joined_counts = joined
        return optimizer

    def __repr__(self) -> str:
        # The wrappers' own rate is 0: one optimizer inside has the rate, several have one each.
        rated = getattr(self, "inner_optimizer", self)
        rate = None if hasattr(self, "optimizers") else getattr(rated, "_learning_rate", None)
        if isinstance(rate, Variable):
            known = current_variable_tracer() is None
            rate = shortest_float(np.asarray(rate.numpy())) if known else None
        shown = "" if rate is None else f", learning_rate={rate}"
        return f"<{type(self).__name__} name={getattr(self, 'name', '?')}{shown}>"


add_attribute_hints(Optimizer, OPTIMIZERS)


def updated_variables(variables: Sequence[Variable]) -> list[Variable]:
    """Return the variables that the rule updates: those whose gradient is not the new value itself."""
    return [variable for variable in variables if not variable.overwrite_with_gradient]


def _overwrite_with_gradients(
    grads: list[Tensor], variables: list[Variable]
) -> tuple[list[Tensor], list[Variable]]:
    """Assign the gradients that are new values, such as scales of float8. Return the other pairs."""
    others: tuple[list[Tensor], list[Variable]] = ([], [])
    for gradient, variable in zip(grads, variables, strict=True):
        if variable.overwrite_with_gradient:
            variable.assign(gradient)
        else:
            others[0].append(gradient)
            others[1].append(variable)
    return others
