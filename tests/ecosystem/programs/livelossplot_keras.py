"""livelossplot: curves of a fit, drawn without a display."""

import matplotlib as mpl

mpl.use("agg")
import keras
import numpy as np
from livelossplot import PlotLossesKeras
from livelossplot.outputs import ExtremaPrinter, MatplotlibPlot

x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
plot = PlotLossesKeras(outputs=[MatplotlibPlot(figpath="losses.png"), ExtremaPrinter()], mode="script")
model.fit(x, x[:, :1], epochs=3, validation_split=0.2, verbose=0, callbacks=[plot])
