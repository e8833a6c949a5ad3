"""keras-hub: samplers draw tokens from the logits of a function."""

import keras_hub
import numpy as np
from keras import ops

logits = np.random.default_rng(0).normal(size=(2, 20)).astype("float32")


def next_token(prompt, cache, index):
    return ops.convert_to_tensor(logits), ops.ones((2, 8)), cache


for name in ("greedy", "top_k", "top_p", "random"):
    sampler = keras_hub.samplers.get(name)
    prompt = ops.zeros((2, 6), dtype="int32")
    output = np.asarray(sampler(next=next_token, prompt=prompt, cache=(), index=2))
    assert output.shape == (2, 6), name
    assert (output[:, :2] == 0).all()
    if name == "greedy":
        assert (output[:, 2:] == logits.argmax(-1)[:, None]).all()
