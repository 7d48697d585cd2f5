"""The prediction sets as nodes: which classes belong to the answer, from its probabilities alone.

Whole parts of a probability take the place of probabilities. So their sums are exact, and a row alone and among others
has the same set, whatever the processor sums first. The classes are sorted, not compared in pairs: of a thousand
classes there would be a million pairs a row.
"""

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from models.sets import PARTS, PredictionSets
from trainer.arrays import Array
from trainer.export.nodes import Graph

Whole = npt.NDArray[np.int64]


def write_sets(graph: Graph, probabilities: str, classes: int, sets: PredictionSets) -> str:
    """Write nodes from probabilities (N, `classes`) to booleans of the same shape; return the name of these."""
    parts = graph.constant("set/parts", np.array(PARTS, np.float32))
    scaled = graph.node("Mul", [probabilities, parts], "set/scaled")
    whole = graph.node("Cast", [scaled], "set/whole", to=TensorProto.INT32)
    count = graph.constant("set/classes", np.array([classes], np.int64))
    ranked = graph.node("TopK", [whole, count], "set/ranked", "set/places", axis=1)
    axis = graph.constant("set/axis", np.array(1, np.int64))
    # What all likelier classes have together.
    above = graph.node("CumSum", [ranked, axis], "set/above", exclusive=1)
    threshold = graph.constant("set/threshold", np.array(sets.parts, np.int32))
    within = graph.node("LessOrEqual", [above, threshold], "set/within")
    # A part more than any class has, in the place of those that are out.
    most = graph.constant("set/most", np.array(PARTS + 1, np.int32))
    inside = graph.node("Where", [within, ranked, most], "set/inside")
    least = graph.node("ReduceMin", [inside], "set/least", axes=[1], keepdims=1)
    return graph.node("LessOrEqual", [least, whole], "set")


def members_of(probabilities: Array, sets: PredictionSets) -> npt.NDArray[np.bool_]:
    """Which classes (n, classes) are in the sets that go with probabilities (n, classes): what the graph gives."""
    whole = whole_parts(probabilities)
    ranked = np.sort(whole, axis=1)[:, ::-1]
    above = np.cumsum(ranked, axis=1) - ranked
    least = np.where(above <= sets.parts, ranked, PARTS + 1).min(axis=1, keepdims=True)
    return np.asarray(least <= whole)


def whole_parts(probabilities: Array) -> Whole:
    """Probabilities in parts, cut off: exact, for a float is multiplied by a power of two."""
    return (probabilities * np.float32(PARTS)).astype(np.int64)
