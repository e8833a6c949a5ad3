"""Keras's side: python keras_side.py NET train|predict BATCH STEPS [--export FILE]; see serving.py."""

import sys

import serving

import keras  # isort: skip - after serving, which measures the imports
import numpy as np
from keras_models import NETS, RNG, Gan

name, mode, batch, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
keras.utils.set_random_seed(0)
net = NETS[name](batch)
model = net.model

if "--export" in sys.argv:
    model.export(sys.argv[sys.argv.index("--export") + 1], format="onnx", verbose=False)
    sys.exit()


def rows(times):
    """`times` batches, whose samples differ."""

    def more(a):
        return a[RNG.integers(0, batch, batch * times)]

    return ([more(a) for a in net.x] if isinstance(net.x, list) else more(net.x)), more(net.y)


if mode == "predict":
    x = net.x

    def work(times):
        for _ in range(times):
            np.asarray(model.predict_on_batch(x))

elif isinstance(model, Gan):

    def work(times):
        for _ in range(times):
            model.train_both(net.x)

else:
    model.compile(keras.optimizers.Adam(1e-3), net.loss, metrics=list(net.metrics))
    data = {1: rows(1), steps: rows(steps)}

    def work(times):
        x, y = data[times]
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)


serving.serve(work, steps)
