"""wandb: callbacks log metrics and checkpoints without a network."""

import os
from pathlib import Path

os.environ["WANDB_MODE"] = "offline"
os.environ["WANDB_SILENT"] = "true"

import keras
import numpy as np
import wandb
from wandb.integration.keras import WandbMetricsLogger, WandbModelCheckpoint

x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse", metrics=["mae"])
with wandb.init(project="test", dir=".") as run:
    callbacks = [WandbMetricsLogger(log_freq=1), WandbModelCheckpoint("best.keras", save_best_only=False)]
    model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=callbacks)
    assert "epoch/loss" in dict(run.summary)
assert Path("best.keras").exists()
