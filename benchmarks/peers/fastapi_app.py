"""FastAPI as its documentation shows it: typed body, typed answer. Served by uvicorn with uvloop and httptools."""

import numpy as np
from fastapi import FastAPI
from onnx_session import session
from pydantic import BaseModel

app = FastAPI()
predict = session().run


class Question(BaseModel):
    instance: list[float]


class Answer(BaseModel):
    probabilities: list[float]


@app.post("/predict")
async def post(question: Question) -> Answer:
    rows = np.array([question.instance], np.float32)
    return Answer(probabilities=predict(["probabilities"], {"numeric": rows})[0][0].tolist())
