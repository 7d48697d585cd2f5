"""What other programs may ask an exported file, by the runtime that most of them use."""

from dataclasses import replace

import numpy as np
import pytest
from onnxruntime import InferenceSession

from trainer.data.encoder import fit_encoder
from trainer.data.rows import Examples
from trainer.export.graph import to_onnx
from trainer.job.publishing import Outcome


@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
def test_an_infinity_in_a_constant_column_says_nothing(outcome: Outcome, examples: Examples, infinity: float) -> None:
    """As no number does there. A service refuses it, but the file goes to other programs too."""
    numeric = examples.rows.numeric.copy()
    numeric[:, 0] = 7.0
    constant = replace(examples.rows, numeric=numeric)
    encoder = replace(outcome.classifier.encoder, scaling=fit_encoder(constant).scaling)
    model = InferenceSession(to_onnx(replace(outcome.classifier, encoder=encoder), {}))

    odd = numeric.copy()
    odd[:, 0] = infinity

    said, expected = (
        model.run(["probabilities"], {"numeric": numbers, "categorical": constant.texts()})[0]
        for numbers in (odd, numeric)
    )
    np.testing.assert_array_equal(said, expected)
