"""FastAPI as its documentation shows it: typed body, typed answer. Served by uvicorn with uvloop and httptools."""

from fastapi import FastAPI
from onnx_session import predictor
from pydantic import BaseModel

app = FastAPI()
predict = predictor()


class Question(BaseModel):
    instance: list[float | str]


class Answer(BaseModel):
    probabilities: list[float]


@app.post("/predict")
async def post(question: Question) -> Answer:
    return Answer(probabilities=predict(question.instance)[0].tolist())
