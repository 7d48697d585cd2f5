"""LitServe as its documentation shows it, on the processor with one worker."""

import sys

import litserve
import numpy as np
from onnx_session import session


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.run = session().run

    def decode_request(self, request):
        return np.array([request["instance"]], np.float32)

    def predict(self, rows):
        return self.run(["probabilities"], {"numeric": rows})[0]

    def encode_response(self, probabilities):
        return {"probabilities": probabilities[0].tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
