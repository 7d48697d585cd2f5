"""What onnxruntime makes of a row among others."""

from typing import Any, get_args

import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession

from models.sets import PARTS, PredictionSets
from trainer.data.encoder import fit_encoder
from trainer.data.rows import Column, Rows
from trainer.data.scaling import Kind
from trainer.evaluation.sets import scores_of
from trainer.export.graph import IR_VERSION, OPSET, to_onnx
from trainer.export.nodes import Graph
from trainer.export.sets import members_of, write_sets
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.calibrator import Calibrator
from trainer.nn.network import population_moments

SMALL: dict[str, Any] = {"hidden": (7, 5)}


@pytest.mark.parametrize("scaling", get_args(Kind))
@pytest.mark.parametrize(("columns", "activation"), [(1, "relu"), (2, "elu"), (3, "selu"), (5, "silu"), (6, "sigmoid")])
def test_a_row_is_answered_the_same_in_any_company(scaling: Kind, columns: int, activation: str) -> None:
    """To the last bit, in onnxruntime: requests that come together are answered together, and nobody can tell."""
    check(columns, scaling, 2, SMALL | {"activation": activation})


@pytest.mark.parametrize("members", [1, 5])
@pytest.mark.parametrize("columns", [7, 40])
@pytest.mark.parametrize("hidden", [(), (128, 128), (256, 256)], ids=str)
@pytest.mark.parametrize("place", ["before", "after", "none"])
def test_so_it_is_by_a_network_of_any_shape(columns: int, hidden: tuple[int, ...], place: str, members: int) -> None:
    """The waves of many numbers too, single networks and bags, and batch norm anywhere. It holds where the weights of a
    product are constants: with others, onnxruntime sums a row alone in another order.
    """
    check(columns, "robust", members, {"hidden": hidden, "batch_norm": place, "input_dropout": 0.1})


@pytest.mark.parametrize("classes", [2, 3, 26, 300])
def test_so_is_its_set(classes: int) -> None:
    """To the last class, where thousands of classes are likely to lie at the threshold; and numpy says the same."""
    rng = np.random.default_rng(classes)
    logits = rng.standard_normal((120, classes)) * rng.integers(1, 20, (120, 1))
    exact = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = (exact / exact.sum(axis=1, keepdims=True)).astype(np.float32)
    # Classes that are alike, one that is certain, and none that is likelier than another.
    probabilities[0], probabilities[1] = np.eye(classes, dtype=np.float32)[1], 1 / classes
    scores = np.sort(scores_of(probabilities, rng.integers(0, classes, 120)))
    for place in (0, 60, 100, 119):
        sets = PredictionSets(level=0.9, rows=9, threshold=int(scores[place]) / PARTS, coverage=0.9, interval=(0, 1))
        session = InferenceSession(_sets_alone(classes, sets))
        expected = members_of(probabilities, sets)
        for together in (1, 7, 120):
            parts = [probabilities[start : start + together] for start in range(0, 120, together)]
            found = np.concatenate([session.run(["set"], {"probabilities": part})[0] for part in parts])
            assert np.array_equal(found, expected)
        assert expected.any(axis=1).all()


def _sets_alone(classes: int, sets: PredictionSets) -> bytes:
    graph = Graph()
    write_sets(graph, "probabilities", classes, sets)
    given, found = (
        onnx.helper.make_tensor_value_info(name, kind, ["N", classes])
        for name, kind in (("probabilities", onnx.TensorProto.FLOAT), ("set", onnx.TensorProto.BOOL))
    )
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "sets", [given], [found], graph.constants),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    return bytes(model.SerializeToString())


def check(columns: int, scaling: Kind, members: int, settings: dict[str, Any]) -> None:
    rng = np.random.default_rng(columns)
    numbers = rng.standard_normal((200, columns)).astype(np.float32) ** 3
    rows = Rows(
        tuple(Column(f"x{one}", "numeric", False) for one in range(columns)), numbers, np.empty((200, 0), int), ()
    )
    encoder = fit_encoder(rows, scaling=scaling)
    architecture = Architecture(encoder.width, classes=3, periodic=0.2, varied=encoder.varied, **settings)
    networks = tuple(build_network(architecture, rng) for _ in range(members))
    for network in networks:
        # Before any training the last layer answers every row alike.
        last = network.layers[-1].parameters[0].value
        last[...] = rng.standard_normal(last.shape)
        network.freeze(population_moments(network, encoder.encode(rows), 64))
    classifier = TrainedClassifier(encoder, networks, ("a", "b", "c"), Calibrator.idle(3))
    session = InferenceSession(to_onnx(classifier, {}))

    def answers(together: int) -> list[bytes]:
        parts = [numbers[start : start + together] for start in range(0, 200, together)]
        return [row.tobytes() for part in parts for row in session.run(["probabilities"], {"numeric": part})[0]]

    alone = answers(1)
    for together in (2, 3, 5, 20, 200):
        assert answers(together) == alone
