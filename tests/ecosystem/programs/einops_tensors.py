"""einops: rearrange, reduce, repeat and einsum of tensors inside of a layer."""

import keras
import numpy as np
from einops import einsum, rearrange, reduce, repeat


@keras.saving.register_keras_serializable()
class Patches(keras.layers.Layer):
    def call(self, images):
        patches = rearrange(images, "b (h p) (w q) c -> b (h w) (p q c)", p=4, q=4)
        means = reduce(patches, "b n d -> b 1 d", "mean")
        return patches + repeat(means, "b 1 d -> b n d", n=4)


x = np.random.default_rng(0).random((4, 8, 8, 3), "float32")
model = keras.Sequential([keras.Input((8, 8, 3)), Patches(), keras.layers.Flatten(), keras.layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, np.ones((4, 1)), epochs=1, verbose=0)
before = model.predict(x, verbose=0)
model.save("patches.keras")
np.testing.assert_allclose(before, keras.models.load_model("patches.keras").predict(x, verbose=0), rtol=1e-5)
tensor = keras.ops.convert_to_tensor(x)
assert einsum(tensor, tensor, "b h w c, b h w d -> b c d").shape == (4, 3, 3)
