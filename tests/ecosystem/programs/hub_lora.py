"""keras-hub: the attention of a Gemma is tuned by LoRA."""

import keras
import keras_hub
import numpy as np

backbone = keras_hub.models.GemmaBackbone(
    vocabulary_size=30,
    num_layers=2,
    num_query_heads=2,
    num_key_value_heads=1,
    hidden_dim=16,
    intermediate_dim=32,
    head_dim=8,
)
backbone.enable_lora(rank=2)
model = keras_hub.models.GemmaCausalLM(backbone, preprocessor=None)
tokens = np.random.default_rng(0).integers(1, 30, (8, 10))
x = {"token_ids": tokens, "padding_mask": np.ones((8, 10), "int32")}
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
frozen = np.array(backbone.token_embedding.embeddings)
model.fit(x, np.roll(tokens, -1, axis=1), epochs=1, verbose=0)
assert len(model.trainable_variables) < len(model.variables)
assert "lora" in " ".join(v.path for v in model.trainable_variables)
np.testing.assert_array_equal(frozen, np.array(backbone.token_embedding.embeddings))
backbone.save_lora_weights("gemma.lora.h5")
backbone.load_lora_weights("gemma.lora.h5")
