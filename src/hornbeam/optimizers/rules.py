"""Elementwise rules, simplest first: each is its state (`slots`) and one `update_step`.

In the formulas g is the gradient, w the variable, lr the learning rate, t the number of the update from 1 on.
Every update is one expression per element of a variable, which an engine can run as one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import ops
from hornbeam._internal.validation import check_number
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.core.variable import Variable
from hornbeam.optimizers.optimizer import LearningRate, Optimizer

MODULE = "keras.optimizers"


@exported(MODULE)
class SGD(Optimizer):
    """Gradient descent, optionally with momentum.

        momentum = 0:  w <- w - lr * g
        otherwise:     m <- momentum * m - lr * g;  w <- w + m
        nesterov:      m as above;                  w <- w + momentum * m - lr * g

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        momentum: Number in [0, 1], the decay of the running sum of steps; 0 for none.
        nesterov: Use Nesterov's momentum.
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
        ValueError: If `momentum` is not in [0, 1].

    Example:
        >>> SGD(learning_rate=0.1, momentum=0.9, nesterov=True)
        <SGD name=sgd, learning_rate=0.1>

    Source: Polyak 1964; Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html.
    """

    def __init__(
        self, learning_rate: LearningRate = 0.01, momentum: float = 0.0, nesterov: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.momentum = _fraction("momentum", momentum)
        self.nesterov = nesterov

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"momentum": 0.0}] if self.momentum else []

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = gradient * learning_rate
        if not self.momentum:
            variable.assign(variable - step)
            return
        momentum = self.slot(variable, "momentum").assign(
            self.slot(variable, "momentum") * self.momentum - step
        )
        variable.assign(variable + (momentum * self.momentum - step if self.nesterov else momentum))


@exported(MODULE)
class Adagrad(Optimizer):
    """Gradient descent whose steps are divided by the root of the sum of all squared gradients.

    a <- a + g**2;  w <- w - lr * g / sqrt(a + epsilon), where a starts at `initial_accumulator_value`.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        initial_accumulator_value: Number >= 0, the first value of the accumulator.
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
        >>> Adagrad(learning_rate=0.1)
        <Adagrad name=adagrad, learning_rate=0.1>

    Source: Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"accumulator": self.initial_accumulator_value}]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        total = self.slot(variable, "accumulator").assign(
            self.slot(variable, "accumulator") + ops.square(gradient)
        )
        variable.assign(variable - gradient * learning_rate / ops.sqrt(total + self.epsilon))


@exported(MODULE)
class RMSprop(Optimizer):
    """Gradient descent whose steps are divided by the root of a running mean of squared gradients.

        v <- rho * v + (1 - rho) * g**2;  s = lr * g / sqrt(v + epsilon)
        centered: v minus the squared running mean of g instead of v.
        w <- w - s, or with momentum m <- momentum * m + s;  w <- w - m.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        rho: Number in [0, 1], the decay of the running mean of the squared gradient.
        momentum: Number in [0, 1], the decay of the running sum of steps; 0 for none.
        epsilon: Small positive number for numerical stability.
        centered: Divide by the root of the variance instead of the mean square.
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
        >>> RMSprop(learning_rate=0.001, momentum=0.9)
        <RMSprop name=rm_sprop, learning_rate=0.001>

    Source: Tieleman & Hinton 2012, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = _fraction("rho", rho)
        self.momentum = _fraction("momentum", momentum)
        self.epsilon = epsilon
        self.centered = centered

    def slots(self) -> Sequence[dict[str, float]]:
        names = ["velocity", *["momentum"] * bool(self.momentum), *["average_gradient"] * bool(self.centered)]
        return [{name: 0.0} for name in names]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        velocity = _running_mean(self.slot(variable, "velocity"), ops.square(gradient), self.rho)
        if self.centered:
            velocity = velocity - ops.square(
                _running_mean(self.slot(variable, "average_gradient"), gradient, self.rho)
            )
        step = gradient * learning_rate / ops.sqrt(velocity + self.epsilon)
        if self.momentum:
            step = self.slot(variable, "momentum").assign(
                self.slot(variable, "momentum") * self.momentum + step
            )
        variable.assign(variable - step)


@exported(MODULE)
class Adadelta(Optimizer):
    """Gradient descent with steps in the units of the variable, which needs no learning rate.

        a <- rho * a + (1 - rho) * g**2
        d = sqrt(b + epsilon) / sqrt(a + epsilon) * g
        b <- rho * b + (1 - rho) * d**2;  w <- w - lr * d

    The default learning rate is 1.0, that of the paper: the method has no rate. Keras 3 has 0.001, a
    thousandth of it.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        rho: Number in [0, 1], the decay of the running mean of the squared gradient.
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
        >>> Adadelta()
        <Adadelta name=adadelta, learning_rate=1.0>

    Source: Zeiler 2012, https://arxiv.org/abs/1212.5701.
    """

    def __init__(
        self, learning_rate: LearningRate = 1.0, rho: float = 0.95, epsilon: float = 1e-7, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho = _fraction("rho", rho)
        self.epsilon = epsilon

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"accumulated_grad": 0.0, "accumulated_delta_var": 0.0}]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        past = self.slot(variable, "accumulated_delta_var")
        squares = _running_mean(self.slot(variable, "accumulated_grad"), ops.square(gradient), self.rho)
        delta = ops.sqrt(past + self.epsilon) * gradient / ops.sqrt(squares + self.epsilon)
        _running_mean(past, ops.square(delta), self.rho)
        variable.assign(variable - delta * learning_rate)


@exported(MODULE)
class Lion(Optimizer):
    """Steps of one size: the sign of a running mean of gradients.

        w <- w - lr * sign(beta_1 * m + (1 - beta_1) * g);  m <- beta_2 * m + (1 - beta_2) * g

    The authors use a rate 3 to 10 times smaller than that of Adam.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        beta_1: Number in [0, 1], the weight of the running mean in the step.
        beta_2: Number in [0, 1], the decay of the running mean.
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
        >>> Lion(learning_rate=1e-4, weight_decay=0.01)
        <Lion name=lion, learning_rate=0.0001>

    Source: Chen et al. 2023, https://arxiv.org/abs/2302.06675.
    """

    def __init__(
        self, learning_rate: LearningRate = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(f"beta_1 must be a number in (0, 1], got {beta_1!r}")
        self.beta_1 = _fraction("beta_1", beta_1)
        self.beta_2 = _fraction("beta_2", beta_2)

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"momentum": 0.0}]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        momentum = self.slot(variable, "momentum")
        direction = ops.sign(momentum * self.beta_1 + gradient * (1.0 - self.beta_1))
        variable.assign(variable - direction * learning_rate)
        _running_mean(momentum, gradient, self.beta_2)


class _TwoMoments(Optimizer):
    """Base of rules with running means of the gradient and of its size."""

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1 = _fraction("beta_1", beta_1)
        self.beta_2 = _fraction("beta_2", beta_2)
        self.epsilon = epsilon


@exported(MODULE)
class Adam(_TwoMoments):
    """Running means of the gradient and of its square, corrected for their start at zero.

        m <- beta_1 * m + (1 - beta_1) * g;  v <- beta_2 * v + (1 - beta_2) * g**2
        w <- w - lr * sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon)

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        beta_1: Number in [0, 1], the decay of the running mean of the gradient.
        beta_2: Number in [0, 1], the decay of the running mean of its square.
        epsilon: Small positive number, the "epsilon hat" of the paper's second form.
        amsgrad: Use the largest v so far instead of v (Reddi et al. 2018,
            https://openreview.net/forum?id=ryQu7f-RZ).
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
        >>> Adam(learning_rate=0.001)
        <Adam name=adam, learning_rate=0.001>

    Source: Kingma & Ba 2015, https://arxiv.org/abs/1412.6980.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **kwargs)
        self.amsgrad = amsgrad

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}, *[{"velocity_hat": 0.0}] * bool(self.amsgrad)]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        rate = adam_rate(self, variable, learning_rate, self.beta_1, self.beta_2)
        mean = _running_mean(self.slot(variable, "momentum"), gradient, self.beta_1)
        velocity = _running_mean(self.slot(variable, "velocity"), ops.square(gradient), self.beta_2)
        if self.amsgrad:
            largest = self.slot(variable, "velocity_hat")
            velocity = largest.assign(ops.maximum(largest, velocity))
        variable.assign(variable - mean * rate / (ops.sqrt(velocity) + self.epsilon))


@exported(MODULE)
class AdamW(Adam):
    """Adam with decoupled weight decay: w <- w - lr * weight_decay * w before each update.

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        weight_decay: Number, the strength of the decay.
        beta_1: Number in [0, 1], the decay of the running mean of the gradient.
        beta_2: Number in [0, 1], the decay of the running mean of its square.
        epsilon: Small positive number for numerical stability.
        amsgrad: Use the largest v so far instead of v (Reddi et al. 2018,
            https://openreview.net/forum?id=ryQu7f-RZ).
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
        ValueError: If `weight_decay` is None.

    Example:
        >>> AdamW(learning_rate=0.001, weight_decay=0.01)
        <AdamW name=adam_w, learning_rate=0.001>

    Source: Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        if weight_decay is None:
            raise ValueError("AdamW needs weight_decay; without it use Adam")
        super().__init__(learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs)


@exported(MODULE)
class Adamax(_TwoMoments):
    """Adam with the largest recent gradient instead of the root mean square.

        m <- beta_1 * m + (1 - beta_1) * g;  u <- max(beta_2 * u, |g|)
        w <- w - lr / (1 - beta_1**t) * m / (u + epsilon)

    Args:
        learning_rate: Number, `LearningRateSchedule` of the number of updates, or function without arguments.
        beta_1: Number in [0, 1], the decay of the running mean of the gradient.
        beta_2: Number in [0, 1], the decay of the largest gradient.
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
        >>> Adamax(learning_rate=0.001)
        <Adamax name=adamax, learning_rate=0.001>

    Source: Kingma & Ba 2015, section 7.1, https://arxiv.org/abs/1412.6980.
    """

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"momentum": 0.0, "norm": 0.0}]

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        correction = 1.0 - ops.power(self.beta_1, self.local_step(variable))
        rate = ops.cast(learning_rate / correction, variable.dtype)
        mean = _running_mean(self.slot(variable, "momentum"), gradient, self.beta_1)
        norm = self.slot(variable, "norm")
        largest = norm.assign(ops.maximum(norm * self.beta_2, ops.absolute(gradient)))
        variable.assign(variable - mean * rate / (largest + self.epsilon))


@exported(MODULE)
class Nadam(_TwoMoments):
    """Adam with Nesterov's momentum, whose strength u(t) = beta_1 * (1 - 0.96**t / 2) grows.

        m, v as in Adam;  U(t) = u(1) * ... * u(t)
        m_hat = u(t+1) * m / (1 - U(t+1)) + (1 - u(t)) * g / (1 - U(t))
        w <- w - lr * m_hat / (sqrt(v / (1 - beta_2**t)) + epsilon)

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
        >>> Nadam(learning_rate=0.001)
        <Nadam name=nadam, learning_rate=0.001>

    Source: Dozat 2015, https://cs229.stanford.edu/proj2015/054_report.pdf.
    """

    def slots(self) -> Sequence[dict[str, float]]:
        return [{"momentum": 0.0, "velocity": 0.0}]

    def build(self, variables: Sequence[Variable]) -> None:
        if not self.built:
            super().build(variables)
            self._product = self.add_variable((), 1.0, variables[0].dtype, name="u_product")

    def _strength(self, step: Tensor) -> Tensor:
        return self.beta_1 * (1.0 - 0.5 * ops.power(0.96, step))

    def _update(self, grads: list[Tensor], variables: list[Variable]) -> None:
        self._product.assign(self._product * self._strength(self.local_step(self._product)))
        super()._update(grads, variables)

    def update_step(self, gradient: Tensor, variable: Variable, learning_rate: Tensor) -> None:
        step = self.local_step(variable)
        now, soon = self._strength(step), self._strength(step + 1.0)
        product = self._product.value
        ahead = ops.cast(learning_rate * soon / (1.0 - product * soon), variable.dtype)
        here = ops.cast(learning_rate * (1.0 - now) / (1.0 - product), variable.dtype)
        correction = ops.cast(1.0 / (1.0 - ops.power(self.beta_2, step)), variable.dtype)
        mean = _running_mean(self.slot(variable, "momentum"), gradient, self.beta_1)
        velocity = _running_mean(self.slot(variable, "velocity"), ops.square(gradient), self.beta_2)
        variable.assign(
            variable - (mean * ahead + gradient * here) / (ops.sqrt(velocity * correction) + self.epsilon)
        )


def _running_mean(slot: Variable, value: Tensor, rate: float) -> Tensor:
    """Update a running mean: slot <- rate * slot + (1 - rate) * value; return the new value."""
    return slot.assign(slot + (value - slot) * (1.0 - rate))


def adam_rate(
    rule: Optimizer, variable: Variable, learning_rate: Tensor, beta_1: float, beta_2: float
) -> Tensor:
    """Return lr * sqrt(1 - beta_2**t) / (1 - beta_1**t), in the dtype of the variable."""
    step = rule.local_step(variable)
    rate = learning_rate * ops.sqrt(1.0 - ops.power(beta_2, step)) / (1.0 - ops.power(beta_1, step))
    return ops.cast(rate, variable.dtype)


def _fraction(name: str, value: float) -> float:
    return check_number(name, value, 0, 1)
