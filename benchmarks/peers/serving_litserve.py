"""LitServe and ONNX Runtime, with its dynamic batches of up to 32.

python serving_litserve.py MODEL.onnx PORT THREADS
"""

import sys

import litserve
import numpy as np
import onnxruntime


class Scores(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(sys.argv[3])
        self.session = onnxruntime.InferenceSession(sys.argv[1], options)
        self.name = self.session.get_inputs()[0].name

    def decode_request(self, request):
        return np.asarray(request["instances"], np.float32)

    def batch(self, inputs):
        self.sizes = [len(rows) for rows in inputs]
        return np.concatenate(inputs)

    def predict(self, rows):
        return self.session.run(None, {self.name: rows})[0]

    def unbatch(self, scores):
        return np.split(scores, np.cumsum(self.sizes)[:-1])

    def encode_response(self, scores):
        return {"predictions": scores.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Scores(max_batch_size=32, batch_timeout=0.001), accelerator="cpu")
    server.run(port=int(sys.argv[2]), log_level="error", generate_client_file=False)
