"""Flask as its documentation shows it. Served by gunicorn's threads."""

import numpy as np
from flask import Flask, request
from onnx_session import session

app = Flask(__name__)
predict = session().run


@app.post("/predict")
def post():
    rows = np.array([request.get_json()["instance"]], np.float32)
    return {"probabilities": predict(["probabilities"], {"numeric": rows})[0][0].tolist()}
