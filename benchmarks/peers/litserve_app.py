"""LitServe as its documentation shows it, on the processor with one worker."""

import sys

import litserve
from onnx_session import predictor


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.row = predictor()

    def decode_request(self, request):
        return request["instance"]

    def predict(self, row):
        return self.row(row)

    def encode_response(self, probabilities):
        return {"probabilities": probabilities[0].tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error")
