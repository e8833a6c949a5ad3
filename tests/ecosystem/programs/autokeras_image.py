"""autokeras: one trial of a search over image classifiers."""

import autokeras as ak
import numpy as np

rng = np.random.default_rng(0)
x, y = rng.random((20, 16, 16, 3), "float32"), np.arange(20) % 2
inputs = ak.ImageInput()
outputs = ak.ClassificationHead()(ak.ConvBlock()(ak.Normalization()(inputs)))
model = ak.AutoModel(inputs, outputs, max_trials=1, directory="auto", overwrite=True)
model.fit(x, y, epochs=1, validation_split=0.2, verbose=0)
assert model.predict(x, verbose=0).shape[0] == 20
assert model.export_model().count_params() > 0
