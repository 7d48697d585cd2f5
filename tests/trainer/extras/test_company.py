"""What onnxruntime makes of a row among others."""

from typing import get_args

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


@pytest.mark.parametrize("scaling", get_args(Kind))
@pytest.mark.parametrize(("columns", "activation"), [(1, "relu"), (2, "elu"), (3, "selu"), (5, "silu"), (6, "sigmoid")])
def test_a_row_is_answered_the_same_in_any_company(scaling: Kind, columns: int, activation: str) -> None:
    """To the last bit, in onnxruntime: requests that come together are answered together, and nobody can tell."""
    rng = np.random.default_rng(columns)
    numbers = rng.standard_normal((200, columns)).astype(np.float32) ** 3
    rows = Rows(
        tuple(Column(f"x{one}", "numeric", False) for one in range(columns)), numbers, np.empty((200, 0), int), ()
    )
    encoder = fit_encoder(rows, scaling=scaling)
    architecture = Architecture(encoder.width, (7, 5), 3, activation, periodic=0.2, varied=encoder.varied)
    network = build_network(architecture, rng)
    # Before any training the last layer answers every row alike.
    network.layers[-1].parameters[0].value[...] = rng.standard_normal((5, 3))
    network.freeze(population_moments(network, encoder.encode(rows), 64))
    classifier = Classifier(encoder, (network, network), ("a", "b", "c"), Calibrator.idle(3))
    session = InferenceSession(to_onnx(classifier, {}))

    def answers(together: int) -> list[bytes]:
        parts = [numbers[start : start + together] for start in range(0, 200, together)]
        return [row.tobytes() for part in parts for row in session.run(["probabilities"], {"numeric": part})[0]]

    alone = answers(1)
    for together in (2, 3, 5, 20, 200):
        assert answers(together) == alone
