"""Rules that are not elementwise, or have more state than running means: Ftrl, Lamb, Adafactor, Muon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_number
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.optimizers.optimizer import LearningRate, Optimizer, updated_variables
from hornbeam.optimizers.rules import MODULE, _running_mean, adam_rate


@exported(MODULE)
class Ftrl(Optimizer):
    """ "Follow the regularized leader" for sparse linear models, whose L1 penalty gives exact zeros.

        n' = n + g**2;  s = (n'**-p - n**-p) / lr  with p = learning_rate_power
        z <- z + g + 2 * l2_shrinkage * w - s * w;  n <- n'
        w <- (clip(z, -l1, l1) - z) / (n**-p / lr + 2 * l2 + beta / lr)

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        learning_rate_power: Number <= 0, the power of the accumulated squared gradients.
        initial_accumulator_value: Number >= 0, the first value of the accumulator.
        l1_regularization_strength: Number >= 0.
        l2_regularization_strength: Number >= 0.
        l2_shrinkage_regularization_strength: Number >= 0, the L2 penalty that belongs to the gradient.
        beta: Number, added to the divisor.
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
        learning_rate_multipliers: Dict from layers, by name or path, to factors of their rate; None for 1.

    Raises:
        ValueError: If `learning_rate_power` is positive or a strength is negative.

    Example:
        >>> Ftrl(learning_rate=0.1, l1_regularization_strength=0.01)
        <Ftrl name=ftrl, learning_rate=0.1>

    Source: McMahan et al. 2013, https://research.google.com/pubs/archive/41159.pdf.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if learning_rate_power > 0:
            raise ValueError(f"learning_rate_power must not be positive, got {learning_rate_power!r}")
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = check_number(
            "initial_accumulator_value", initial_accumulator_value, minimum=0
        )
        self.l1_regularization_strength = check_number(
            "l1_regularization_strength", l1_regularization_strength, minimum=0
        )
        self.l2_regularization_strength = check_number(
            "l2_regularization_strength", l2_regularization_strength, minimum=0
        )
        self.l2_shrinkage_regularization_strength = check_number(
            "l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength, minimum=0
        )
        self.beta = beta

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"accumulator": self.initial_accumulator_value, "linear": 0.0}]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        squares, linear = self.slot(variable, "accumulator"), self.slot(variable, "linear")
        shrunk = gradient + variable * (2.0 * self.l2_shrinkage_regularization_strength)
        total = squares + ops.square(gradient)
        strength = ops.power(total, -self.learning_rate_power)
        change = (strength - ops.power(squares, -self.learning_rate_power)) / learning_rate
        pull = linear.assign(linear + shrunk - change * variable)
        l1 = self.l1_regularization_strength
        l2 = 2.0 * self.l2_regularization_strength + self.beta / learning_rate
        variable.assign((ops.clip(pull, -l1, l1) - pull) / (strength / learning_rate + l2))
        squares.assign(total)


@exported(MODULE)
class ScheduleFreeAdamW(Optimizer):
    """Adam without a schedule: gradients are taken between a fast iterate z and its average x.

        v <- beta_2 * v + (1 - beta_2) * g**2
        z <- z - lr * min(1, t / warmup_steps) * g / (sqrt(v / (1 - beta_2**t)) + epsilon)
        x <- (1 - 1/t) * x + z / t;  w = (1 - beta_1) * z + beta_1 * x, where gradients are taken.

    The slot `momentum` holds z.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        beta_1: Number in [0, 1], the weight of the average in w.
        beta_2: Number in [0, 1], the decay of the running mean of its square.
        epsilon: Small positive number for numerical stability.
        warmup_steps: Integer, updates over which the rate grows linearly.
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
        learning_rate_multipliers: Dict from layers, by name or path, to factors of their rate; None for 1.

    Example:
        >>> ScheduleFreeAdamW(warmup_steps=100)
        <ScheduleFreeAdamW name=schedule_free_adam_w, learning_rate=0.0025>

    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(f"beta_1 must be a number in (0, 1], got {beta_1!r}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.warmup_steps = warmup_steps

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            for variable in updated_variables(variables):
                self.slot(variable, "momentum").assign(variable.value)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = self.local_step(variable)
        fast = self.slot(variable, "momentum")
        if self.warmup_steps:
            learning_rate = learning_rate * ops.minimum(step / float(self.warmup_steps), 1.0)
        rate = ops.cast(learning_rate, variable.dtype)
        correction = ops.cast(1.0 - ops.power(self.beta_2, step), variable.dtype)
        weight = ops.cast(1.0 / step, variable.dtype)
        velocity = _running_mean(self.slot(variable, "velocity"), ops.square(gradient), self.beta_2)
        average = (variable - fast * (1.0 - self.beta_1)) / self.beta_1
        moved = fast.assign(fast - gradient * rate / (ops.sqrt(velocity / correction) + self.epsilon))
        average = average * (1.0 - weight) + moved * weight
        variable.assign(moved * (1.0 - self.beta_1) + average * self.beta_1)


@exported(MODULE)
class Lamb(Optimizer):
    """Adam whose step for a variable is scaled to the norm of the variable, for very large batches.

        u = m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon), m and v as in Adam
        w <- w - lr * |w| / |u| * u, with the ratio 1 if a norm is 0.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        beta_1: Number in [0, 1], the decay of the running mean of the gradient.
        beta_2: Number in [0, 1], the decay of the running mean of its square.
        epsilon: Small positive number for numerical stability.
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
        learning_rate_multipliers: Dict from layers, by name or path, to factors of their rate; None for 1.

    Example:
        >>> Lamb(learning_rate=0.01)
        <Lamb name=lamb, learning_rate=0.01>

    Source: You et al. 2020, https://arxiv.org/abs/1904.00962.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = self.local_step(variable)
        first = ops.cast(1.0 - ops.power(self.beta_1, step), variable.dtype)
        second = ops.cast(1.0 - ops.power(self.beta_2, step), variable.dtype)
        mean = _running_mean(self.slot(variable, "momentum"), gradient, self.beta_1)
        velocity = _running_mean(self.slot(variable, "velocity"), ops.square(gradient), self.beta_2)
        update = mean / first / (ops.sqrt(velocity / second) + self.epsilon)
        size, length = ops.sqrt(ops.sum(ops.square(variable))), ops.sqrt(ops.sum(ops.square(update)))
        both = ops.logical_and(size > 0.0, length > 0.0)
        ratio = ops.where(both, size / ops.where(both, length, 1.0), 1.0)
        variable.assign(variable - update * (ratio * learning_rate))


@exported(MODULE)
class Adafactor(Optimizer):
    """Adam's second moment kept as row and column means, so that the state of a matrix is small.

        b = 1 - t**beta_2_decay;  q = g**2 + epsilon_1
        matrices: r <- b * r + (1 - b) * mean(q, -1);  c <- b * c + (1 - b) * mean(q, -2)
                  v = r * c / mean(r)
        vectors:  v <- b * v + (1 - b) * q
        u = g / sqrt(v);  u <- u / max(1, rms(u) / clip_threshold)
        w <- w - max(epsilon_2, rms(w)) * min(lr, 1 / sqrt(t)) * u, rms(x) = sqrt(mean(x**2))

    The slot `velocity` of a matrix is kept for files of Keras.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        beta_2_decay: Number, the exponent of the decay.
        epsilon_1: Small number that is added to squared gradients.
        epsilon_2: Number, the least scale of a variable.
        clip_threshold: Number, the largest root mean square of an update.
        relative_step: Accepted; as in Keras, the rate is bounded by 1 / sqrt(t) either way.
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
        learning_rate_multipliers: Dict from layers, by name or path, to factors of their rate; None for 1.

    Example:
        >>> Adafactor(learning_rate=0.01)
        <Adafactor name=adafactor, learning_rate=0.01>

    Source: Shazeer & Stern 2018, https://arxiv.org/abs/1804.04235.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._slots |= {"row": {}, "column": {}, "velocity": {}}
        for variable in updated_variables(variables):
            matrix = len(variable.shape) >= 2
            # Keras has two unused scalars for a vector; they exist here so that files have the same order.
            rows = variable.shape[:-1] if matrix else ()
            columns = (*variable.shape[:-2], variable.shape[-1]) if matrix else ()
            for name, shape in (("row", rows), ("column", columns)):
                dtype = variable.dtype if matrix else "int32"
                label = f"{variable.path.replace('/', '_')}_{name}"
                self._slots[name][variable] = self.add_variable(shape, "zeros", dtype, name=label)
            self._slots["velocity"][variable] = self.add_variable_from_reference(variable, "velocity")

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = self.local_step(variable)
        rate = ops.cast(ops.minimum(learning_rate, 1.0 / ops.sqrt(step)), variable.dtype)
        keep = ops.cast(1.0 - ops.power(step, self.beta_2_decay), variable.dtype)
        squares = ops.square(gradient) + self.epsilon_1
        velocity = self.slot(variable, "velocity")

        def mean(slot: Variable, value: Tensor) -> Tensor:
            return slot.assign(slot * keep + value * (1.0 - keep))

        if len(variable.shape) >= 2:
            rows = mean(self.slot(variable, "row"), ops.mean(squares, axis=-1))
            columns = mean(self.slot(variable, "column"), ops.mean(squares, axis=-2))
            scale = rows / ops.mean(rows, axis=-1, keepdims=True)
            spread = velocity.assign(ops.expand_dims(scale, -1) * ops.expand_dims(columns, -2))
        else:
            spread = mean(velocity, squares)
        update = gradient / ops.sqrt(spread)
        update = update / ops.maximum(_rms(update) / self.clip_threshold, 1.0)
        variable.assign(variable - update * (ops.maximum(_rms(variable), self.epsilon_2) * rate))


@exported(MODULE)
class Muon(Optimizer):
    """Orthogonalized momentum for matrices, and Adam for everything else.

        m <- momentum * m + g;  u = g + momentum * m (nesterov) or m
        w <- w - lr * rms_rate * sqrt(max(rows, columns)) * orthogonal(u)

    `orthogonal` is `ns_steps` Newton-Schulz steps x <- a x + (b A + c A A) x, A = x x^T, from u / |u|.
    Variables that are not matrices, and excluded ones, follow Adam at `adam_lr_ratio` times the rate.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        adam_beta_1, adam_beta_2: Numbers in [0, 1], `beta_1` and `beta_2` of Adam.
        adam_weight_decay: Number, the weight decay of variables that follow Adam, or None.
        epsilon: Small positive number for numerical stability.
        weight_decay: Number, the weight decay of matrices, or None.
        exclude_layers: Regular expressions; variables whose path matches one of them follow Adam.
        exclude_embeddings: Let embeddings follow Adam.
        muon_a, muon_b, muon_c: Numbers, the coefficients of a Newton-Schulz step.
        adam_lr_ratio: Number, the learning rate of Adam in relation to `learning_rate`.
        momentum: Number in [0, 1], the decay of the running sum of gradients.
        ns_steps: Integer, number of Newton-Schulz steps.
        nesterov: Use Nesterov's momentum.
        rms_rate: Number, the root mean square of the updates in relation to the rate; None for no scaling.
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
        learning_rate_multipliers: Dict from layers, by name or path, to factors of their rate; None for 1.

    Example:
        >>> Muon(learning_rate=0.01, exclude_layers=["logits"])
        <Muon name=muon, learning_rate=0.01>

    Source: Jordan 2024, https://kellerjordan.github.io/posts/muon/; the scaling by `rms_rate`: Liu et al.
    2025, https://arxiv.org/abs/2502.16982.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = list(exclude_layers or [])
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def uses_adam(self, variable: Variable) -> bool:
        """Return True if a variable follows Adam.

        Args:
            variable: Trained variable.
        """
        path = variable.path
        embedding = self.exclude_embeddings and "embedding" in path.lower()
        return (
            len(variable.shape) != 2
            or embedding
            or any(re.search(word, path) for word in self.exclude_layers)
        )

    def build(self, variables: Sequence[Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        self._slots |= {"momentum": {}, "velocity": {}}
        for variable in updated_variables(variables):
            for name in ("momentum", "velocity") if self.uses_adam(variable) else ("momentum",):
                self._slots[name][variable] = self.add_variable_from_reference(variable, name)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        momentum = self.slot(variable, "momentum")
        if self.uses_adam(variable):
            scaled = learning_rate * self.adam_lr_ratio
            rate = adam_rate(self, variable, scaled, self.adam_beta_1, self.adam_beta_2)
            mean = _running_mean(momentum, gradient, self.adam_beta_1)
            velocity = _running_mean(self.slot(variable, "velocity"), ops.square(gradient), self.adam_beta_2)
            variable.assign(variable - mean * rate / (ops.sqrt(velocity) + self.epsilon))
            return
        total = momentum.assign(momentum * self.momentum + gradient)
        direction = gradient + total * self.momentum if self.nesterov else total
        update = self.zeropower_via_newtonschulz5(direction, self.ns_steps)
        variable.assign(variable - self.lr_adjust(update * learning_rate))

    def lr_adjust(self, x: Tensor) -> Tensor:
        """Scale the update of a matrix to the root mean square `rms_rate`: x * rms_rate * sqrt(max(shape)).

        Args:
            x: Tensor (rows, columns).

        Returns:
            Tensor of the same shape; `x` itself if `rms_rate` is None.
        """
        return x if self.rms_rate is None else x * (self.rms_rate * max(x.shape) ** 0.5)

    def zeropower_via_newtonschulz5(self, x: Tensor, steps: int) -> Tensor:
        """Make the singular values of a matrix nearly 1 by Newton-Schulz steps; `orthogonal` above.

        Args:
            x: Tensor (rows, columns).
            steps: Number of steps.

        Returns:
            Tensor of the same shape.
        """
        tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if tall else x
        x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
        for _ in range(steps):
            square = ops.matmul(x, ops.transpose(x))
            mixed = square * self.muon_b + ops.matmul(square, square) * self.muon_c
            x = x * self.muon_a + ops.matmul(mixed, x)
        return ops.transpose(x) if tall else x

    def _decay_of(self, variable: Variable) -> float | None:
        if not self._use_weight_decay(variable):
            return None
        return self.adam_weight_decay if self.uses_adam(variable) else self.weight_decay


def _rms(x: Tensor) -> Tensor:
    return ops.sqrt(ops.mean(ops.square(x)))
