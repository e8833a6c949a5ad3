"""hgq2: dense layers with trained bit widths."""

import keras
import numpy as np
from hgq.config import LayerConfigScope, QuantizerConfigScope
from hgq.layers import QDense
from hgq.utils.sugar import BetaScheduler, FreeEBOPs, PieceWiseSchedule

rng = np.random.default_rng(0)
x = rng.normal(size=(64, 8)).astype("float32")
y = rng.integers(0, 3, 64)
with (
    QuantizerConfigScope(place="all", default_q_type="kbi", overflow_mode="SAT_SYM"),
    QuantizerConfigScope(place="datalane", default_q_type="kif", overflow_mode="WRAP"),
    LayerConfigScope(enable_ebops=True, beta0=1e-5),
):
    model = keras.Sequential([keras.Input((8,)), QDense(8, activation="relu"), QDense(3)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
schedule = BetaScheduler(PieceWiseSchedule([(0, 1e-6, "linear"), (2, 1e-4, "constant")]))
model.fit(x, y, epochs=2, batch_size=32, verbose=0, callbacks=[schedule, FreeEBOPs()])
assert any("/f" in v.path or "/b" in v.path for v in model.trainable_variables)
before = model.predict(x, verbose=0)
model.save("hgq.keras")
after = keras.models.load_model("hgq.keras").predict(x, verbose=0)
np.testing.assert_allclose(before, after, rtol=1e-4, atol=1e-5)
