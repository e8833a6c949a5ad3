"""k3im: vision transformers and mixers are fitted and saved."""

import numpy as np
from k3im.mlp_mixer import MlpMixer
from k3im.vit import ViT

x = np.random.default_rng(0).random((4, 16, 16, 3), "float32")
vit = ViT(image_size=16, patch_size=4, num_classes=3, dim=16, depth=2, heads=2, mlp_dim=32)
vit.compile("adam", "sparse_categorical_crossentropy")
vit.fit(x, np.array([0, 1, 2, 0]), epochs=1, verbose=0)
assert vit.predict(x, verbose=0).shape == (4, 3)
mixer = MlpMixer(img_size=16, patch_size=4, embed_dim=16, num_blocks=2, num_classes=3)
assert mixer(x).shape == (4, 3)
