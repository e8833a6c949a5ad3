"""kimm: RepVGG with merged branches computes the same."""

import kimm
import numpy as np

model = kimm.models.RepVGGA0(weights=None, input_shape=(32, 32, 3), classes=4, include_preprocessing=False)
x = np.random.default_rng(0).random((2, 32, 32, 3), "float32")
before = model.predict(x, verbose=0)
merged = kimm.utils.get_reparameterized_model(model)
assert merged.count_params() < model.count_params()
np.testing.assert_allclose(before, merged.predict(x, verbose=0), rtol=1e-3, atol=1e-4)
