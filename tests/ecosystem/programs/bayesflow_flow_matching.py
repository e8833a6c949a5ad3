"""bayesflow (jax, here tensorflow): flow matching on data in memory, saved and loaded."""

import bayesflow as bf
import keras
import numpy as np

rng = np.random.default_rng(0)
theta = rng.normal(size=(64, 2)).astype("float32")
data = {"theta": theta, "x": theta + rng.normal(size=(64, 2)).astype("float32")}
workflow = bf.BasicWorkflow(
    inference_network=bf.networks.FlowMatching(subnet_kwargs={"widths": (16, 16)}),
    inference_variables=["theta"],
    inference_conditions=["x"],
)
workflow.fit_offline(data, epochs=2, batch_size=16, validation_data=data, verbose=0)
samples = workflow.sample(num_samples=4, conditions={"x": data["x"][:3]})
assert samples["theta"].shape == (3, 4, 2)
workflow.approximator.save("flow.keras")
loaded = keras.saving.load_model("flow.keras")
assert loaded.sample(num_samples=4, conditions={"x": data["x"][:3]})["theta"].shape == (3, 4, 2)
