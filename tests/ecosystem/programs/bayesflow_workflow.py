"""bayesflow (jax, here tensorflow): posteriors of a simulator by a coupling flow, in the basic workflow."""

import bayesflow as bf
import numpy as np


def prior():
    return {"mean": np.random.normal(size=2)}


def likelihood(mean):
    return {"x": np.random.normal(mean, 1.0, size=(10, 2))}


workflow = bf.BasicWorkflow(
    simulator=bf.make_simulator([prior, likelihood]),
    inference_network=bf.networks.CouplingFlow(depth=2),
    summary_network=bf.networks.DeepSet(summary_dim=4),
    inference_variables=["mean"],
    summary_variables=["x"],
)
history = workflow.fit_online(epochs=1, num_batches_per_epoch=4, batch_size=16, verbose=0)
assert np.isfinite(history.history["loss"]).all()
test = workflow.simulate(3)
samples = workflow.sample(num_samples=5, conditions=test)
assert samples["mean"].shape == (3, 5, 2)
assert workflow.log_prob({**test}).shape == (3,)
