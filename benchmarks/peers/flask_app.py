"""Flask as its documentation shows it. Served by gunicorn's threads."""

from flask import Flask, request
from onnx_session import predictor

app = Flask(__name__)
predict = predictor()


@app.post("/predict")
def post():
    return {"probabilities": predict(request.get_json()["instance"])[0].tolist()}
