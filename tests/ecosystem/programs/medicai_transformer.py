"""medicai: a SegFormer over 3D volumes."""

import numpy as np
from medicai.models import SegFormer

model = SegFormer(encoder_name="mit_b0", input_shape=(32, 32, 32, 1), num_classes=2)
x = np.random.default_rng(0).random((1, 32, 32, 32, 1), "float32")
assert model.predict(x, verbose=0).shape == (1, 32, 32, 32, 2)
