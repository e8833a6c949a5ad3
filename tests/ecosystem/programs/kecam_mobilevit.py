"""kecam (tensorflow): a small network with attention is fitted and saved."""

import numpy as np
from keras_cv_attention_models import mobilevit

model = mobilevit.MobileViT_XXS(input_shape=(64, 64, 3), num_classes=3, pretrained=None)
x = np.random.default_rng(0).random((2, 64, 64, 3), "float32")
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(x, np.array([0, 1]), epochs=1, verbose=0)
before = model.predict(x, verbose=0)
assert before.shape == (2, 3)
model.save_weights("mobilevit.weights.h5")
model.load_weights("mobilevit.weights.h5")
np.testing.assert_allclose(before, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
