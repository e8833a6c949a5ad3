"""Runs one example program with whatever `keras` is here, and writes what its main() returns as JSON.

    python side.py PROGRAM OUTPUT        under Keras
    hornbeam run side.py PROGRAM OUTPUT  under Hornbeam

The program is not changed, but initial weights are drawn by NumPy, each from its shape, its distribution
and how many initializers were used for that shape before, so that both sides begin with the same ones.
Batches are shuffled, and dropout and noise drawn, by each side's own generator.
"""

import collections
import json
import runpy
import sys
import time

import numpy as np

PROGRAM, OUTPUT = sys.argv[1:3]


def fans(shape):
    if len(shape) < 2:
        return (shape[0], shape[0]) if shape else (1, 1)
    field = int(np.prod(shape[:-2]))
    return shape[-2] * field, shape[-1] * field


def variance_scaling(self, rng, shape):
    fan_in, fan_out = fans(shape)
    size = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
    scale = self.scale / max(1.0, size)
    if self.distribution == "uniform":
        return rng.uniform(-np.sqrt(3 * scale), np.sqrt(3 * scale), shape)
    return truncated(rng, shape) * np.sqrt(scale) / 0.87962566103423978


def truncated(rng, shape):
    drawn = rng.normal(size=shape)
    while np.any(np.abs(drawn) > 2):
        drawn = np.where(np.abs(drawn) > 2, rng.normal(size=shape), drawn)
    return drawn


def orthogonal(self, rng, shape):
    rows, columns = int(np.prod(shape[:-1])), shape[-1]
    q, r = np.linalg.qr(rng.normal(size=(max(rows, columns), min(rows, columns))))
    q = q * np.sign(np.diag(r))
    return self.gain * np.reshape(q if rows >= columns else q.T, shape)


DRAWS = {
    "VarianceScaling": variance_scaling,
    "RandomNormal": lambda self, rng, shape: rng.normal(self.mean, self.stddev, shape),
    "RandomUniform": lambda self, rng, shape: rng.uniform(self.minval, self.maxval, shape),
    "TruncatedNormal": lambda self, rng, shape: self.mean + self.stddev * truncated(rng, shape),
    "Orthogonal": orthogonal,
}


def same_initial_weights(keras):
    # Initializers by shape, in the order in which each is first used: Keras may call one several times
    # while it finds out shapes.
    users = collections.defaultdict(list)

    def replace(cls, draw):
        def call(self, shape, dtype=None, **kwargs):
            shape = tuple(int(size) for size in shape)
            known = [id(user) for user in users[shape]]
            if id(self) not in known:
                users[shape].append(self)
                known.append(id(self))
            rng = np.random.default_rng((*shape, known.index(id(self))))
            return keras.ops.convert_to_tensor(draw(self, rng, shape).astype("float32"), dtype=dtype)

        cls.__call__ = call

    for name, draw in DRAWS.items():
        replace(getattr(keras.initializers, name), draw)


def main():
    import keras

    same_initial_weights(keras)
    program = runpy.run_path(PROGRAM, run_name="program")
    begin = time.perf_counter()
    result = program["main"]()
    seconds = time.perf_counter() - begin
    plain = {key: np.asarray(value, float).tolist() for key, value in result.items()}
    with open(OUTPUT, "w") as file:
        json.dump({"result": plain, "seconds": seconds}, file)


main()
