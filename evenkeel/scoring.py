"""Answers of a published model to many rows, by the service's own predictor: the file that is served is the one asked.

The only module of this package that knows the service.
"""

from importlib.util import find_spec

import numpy as np

from models.errors import CorruptModel
from models.repository import PublishedModel
from trainer.arrays import Array
from trainer.data.rows import Rows
from trainer.errors import MissingExtra

ROWS_AT_ONCE = 4096


def answers(model: PublishedModel, rows: Rows) -> Array:
    """Class probabilities (n, classes) of rows with the features of the model, in the order of its card.

    :raises CorruptModel: the model does not answer with probabilities.
    :raises ModelError: the service refuses the model; the sentence says why.
    :raises MissingExtra: the libraries of the service are not installed.
    """
    if not find_spec("onnxruntime"):
        raise MissingExtra("a published model is asked with onnxruntime: install evenkeel with the extra `service`")
    # Here, so that whoever only reads tables need not have them.
    from service.errors import InvalidAnswer
    from service.prediction.predictor import Predictor

    predictor = Predictor(model)
    parts = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows.take(np.arange(start, min(start + ROWS_AT_ONCE, len(rows))))
        tensors = {"numeric": some.numeric, "categorical": some.texts()}
        try:
            parts.append(predictor.predict({name: tensors[name] for name in predictor.inputs}))
        except InvalidAnswer as error:
            raise CorruptModel(f"{model.card.name} version {model.version}: {error}") from None
    return np.concatenate(parts)
