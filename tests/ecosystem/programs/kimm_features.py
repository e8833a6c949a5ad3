"""kimm: a MobileNet without weights classifies, and gives its intermediate features."""

import kimm
import numpy as np

model = kimm.models.MobileNetV3W050Small(
    weights=None, input_shape=(32, 32, 3), classes=3, include_preprocessing=False
)
x = np.random.default_rng(0).random((4, 32, 32, 3), "float32")
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, np.array([0, 1, 2, 0]), epochs=1, verbose=0)
before = model.predict(x, verbose=0)
model.save_weights("kimm.weights.h5")
other = kimm.models.MobileNetV3W050Small(
    weights=None, input_shape=(32, 32, 3), classes=3, include_preprocessing=False
)
other.load_weights("kimm.weights.h5")
after = other.predict(x, verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
extractor = kimm.models.MobileNetV3W050Small(
    weights=None, input_shape=(32, 32, 3), include_preprocessing=False, feature_extractor=True
)
assert len(extractor(x)) > 3
