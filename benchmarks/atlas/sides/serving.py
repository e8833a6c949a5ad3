"""Shared code of the sides: JSON lines on a pipe, operands from a seed, and the time of a call.

Plain Python and NumPy: every interpreter runs it. A request is "prepare" (answered by the setting that was
quickest, the bytes that must be moved, and with "save" a file of the results) or "time" (answered by the mean
seconds of a call in a batch).
"""

import contextlib
import json
import os
import sys
import timeit
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

# A batch of calls takes about so long: not longer, as other processes interrupt long ones. A round has at
# most so many batches, and fewer if they take longer together than the last number.
BATCH_SECONDS, BATCHES, ROUND_SECONDS = 0.001, 5, 0.05
FLOATS = ("normal", "positive", "distinct")
FAMILIES = {}


def family(*names, stateful=False):
    """Register a factory: it gets the parameters, and returns a function of the operands.

    A stateful one gets the operands, too, and returns a function without arguments.
    """

    def register(factory):
        FAMILIES.update(dict.fromkeys(names, (factory, stateful)))
        return factory

    return register


@dataclass
class Program:
    """A way to compute a case: its name, the call, and the context in which calls are made."""

    setting: str
    call: object
    context: object = contextlib.nullcontext
    repeats: int = 1
    batches: int = 1

    def seconds(self):
        """Return the mean time of a call in the quickest batch."""
        with self.context():
            return min(timeit.repeat(self.call, number=self.repeats, repeat=self.batches)) / self.repeats

    def plan(self, seconds):
        """Divide a round into batches of calls, each of which takes about `seconds`."""
        self.repeats = max(1, min(int(BATCH_SECONDS / seconds), 10_000))
        self.batches = max(1, min(int(ROUND_SECONDS / (self.repeats * seconds)), BATCHES))
        return self


def arrays(operands):
    """Make the operands: float32, int32 and bool arrays, equal on all sides."""
    rng = np.random.default_rng(0)
    return [np.asarray(_array(rng, SimpleNamespace(**operand))) for operand in operands]


def _array(rng, operand):
    if operand.values == "normal":
        return rng.standard_normal(operand.shape, np.float32) * np.float32(operand.scale)
    if operand.values == "positive":
        return rng.random(operand.shape, np.float32) * 2 + np.float32(0.1)
    if operand.values == "distinct":
        size = int(np.prod(operand.shape))
        return (rng.permutation(size).reshape(operand.shape) / size - 0.5).astype(np.float32)
    if operand.values == "integers":
        return rng.integers(0, operand.limit, operand.shape, "int32")
    if operand.values == "mask":
        *rows, length = operand.shape
        lengths = rng.integers(length // 2, length + 1, (*rows, 1))
        return np.arange(length) < lengths
    raise ValueError(f"unknown values {operand.values!r}")


def cotangent(shape):
    """Make the gradient of the result."""
    return np.asarray(np.random.default_rng(1).standard_normal(shape, np.float32))


def factory_of(name):
    """Return the factory of a family, and whether it is stateful."""
    if name not in FAMILIES:
        raise NotImplementedError(f"no implementation of {name!r}")
    return FAMILIES[name]


def parameters_of(request):
    """Return the parameters as attributes, with the family, the dtype, and the shapes of operands."""
    shapes = [tuple(operand["shape"]) for operand in request["operands"]]
    return SimpleNamespace(
        **request["parameters"], family=request["family"], dtype=request["dtype"], shapes=shapes
    )


def differentiable(request):
    """Return the positions of the operands that get gradients."""
    return [i for i, operand in enumerate(request["operands"]) if operand["values"] in FLOATS]


def first(result):
    """Return the result that is differentiated: that of a function of one, the first of several."""
    return result[0] if isinstance(result, (list, tuple)) else result


def _bytes(request, outputs):
    """Count the bytes of operands and results, each read or written once, and of a state, both."""
    width = 2 if request["dtype"] == "bfloat16" else 4
    total = 2 * request["state"] * width
    for operand in request["operands"]:
        size = operand["touched"] or int(np.prod(operand["shape"]))
        total += size * {"integers": 4, "mask": 1}.get(operand["values"], width)
    # The gradient of the result is read.
    read = outputs[:1] if request["backward"] else []
    return total + sum(x.size * (width if x.dtype == np.float32 else x.itemsize) for x in (*outputs, *read))


def _prepare(side, request):
    """Return the quickest program that works, and the answer to the request."""
    programs, nbytes, failure = [], None, None
    for program in side.programs(request, arrays(request["operands"])):
        try:
            with program.context():
                result = program.call()
            if nbytes is None:
                outputs = side.outputs(request, result)
                nbytes = _bytes(request, outputs)
                if request.get("save"):
                    np.savez(request["save"], *outputs)
                del outputs
            del result
            seconds = program.seconds()
            if program.plan(seconds).batches > 1:  # the first call may have been interrupted
                seconds = program.seconds()
            programs.append((seconds, program.plan(seconds)))
        except Exception as error:
            failure = error
    if not programs:
        raise failure
    best = min(programs, key=lambda pair: pair[0])[1]
    return best, {"setting": best.setting, "bytes": nbytes}


def serve(side):
    """Answer requests until the pipe is closed. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    program = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                program = None
                program, answer = _prepare(side, request)
            else:
                answer = {"seconds": program.seconds()}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)
