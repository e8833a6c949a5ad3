"""BentoML and ONNX Runtime, with its adaptive batches of up to 32.

python serving_bentoml.py MODEL.onnx PORT THREADS
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import onnxruntime

Rows = Annotated[np.ndarray, bentoml.validators.DType("float32")]


@bentoml.service(workers=1)
class Scores:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["PEER_THREADS"])
        self.session = onnxruntime.InferenceSession(os.environ["PEER_MODEL"], options)
        self.name = self.session.get_inputs()[0].name

    @bentoml.api(batchable=True, max_batch_size=32)
    def predict(self, instances: Rows) -> np.ndarray:
        return self.session.run(None, {self.name: instances})[0]


if __name__ == "__main__":
    model, port, threads = sys.argv[1:]
    # Its command imports this file again, in the processes that answer.
    os.environ.update(PEER_MODEL=model, PEER_THREADS=threads, BENTOML_DO_NOT_TRACK="true")
    os.chdir(Path(__file__).parent)
    command = ["serve", "serving_bentoml:Scores", "--host", "127.0.0.1", "--port", port, "-q"]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *command])
