"""What onnxruntime makes of a row among others."""

from typing import Any, get_args

import numpy as np
import pytest
from onnxruntime import InferenceSession

from trainer.classifier import Classifier
from trainer.data.encoder import fit_encoder
from trainer.data.rows import Column, Rows
from trainer.data.scaling import Kind
from trainer.export.graph import to_onnx
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
    classifier = Classifier(encoder, networks, ("a", "b", "c"), Calibrator.idle(3))
    session = InferenceSession(to_onnx(classifier, {}))

    def answers(together: int) -> list[bytes]:
        parts = [numbers[start : start + together] for start in range(0, 200, together)]
        return [row.tobytes() for part in parts for row in session.run(["probabilities"], {"numeric": part})[0]]

    alone = answers(1)
    for together in (2, 3, 5, 20, 200):
        assert answers(together) == alone
