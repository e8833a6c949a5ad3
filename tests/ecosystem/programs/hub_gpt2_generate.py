"""keras-hub: a small GPT-2 is fitted and generates tokens."""

import keras
import keras_hub
import numpy as np

backbone = keras_hub.models.GPT2Backbone(
    vocabulary_size=30, num_layers=2, num_heads=2, hidden_dim=16, intermediate_dim=32, max_sequence_length=16
)
model = keras_hub.models.GPT2CausalLM(backbone, preprocessor=None)
rng = np.random.default_rng(0)
tokens = rng.integers(1, 30, (8, 16))
x = {"token_ids": tokens, "padding_mask": np.ones((8, 16), "bool")}
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), sampler="greedy")
model.fit(x, np.roll(tokens, -1, axis=1), batch_size=4, epochs=1, verbose=0)
prompt = {"token_ids": tokens[:2], "padding_mask": np.arange(16)[None, :] < np.array([[5], [6]])}
output = model.generate(prompt, stop_token_ids=None)
assert output["token_ids"].shape == (2, 16)
assert (np.asarray(output["token_ids"])[:, :5] == tokens[:2, :5]).all()
