import numpy as np
import pytest

from trainer.nn.batches import BatchWeights
from trainer.nn.loss import SoftmaxCrossEntropy, cross_entropy, softmax, targets_of


def test_softmax_of_the_course() -> None:
    """exp(5, 2, -1, 3) is (148.4, 7.4, 0.4, 20.1), their sum 176.3: shares 0.842, 0.042, 0.002, 0.114."""
    assert softmax(np.array([[5.0, 2.0, -1.0, 3.0]])).round(3).tolist() == [[0.842, 0.042, 0.002, 0.114]]


def test_softmax_takes_any_logits() -> None:
    """Large ones do not overflow, and each row sums to one."""
    probabilities = softmax(np.array([[1e4, 0.0, -1e4], [3.0, 3.0, 3.0]], np.float32))

    np.testing.assert_allclose(probabilities, np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]), rtol=1e-6)


def test_the_loss_by_hand() -> None:
    """Class 0 of logits (5, 2, -1, 3) costs -log 0.842 = 0.172; smoothed by 0.4 it costs 1.272.

    The target is then (0.7, 0.1, 0.1, 0.1): 0.7 · 0.172 + 0.1 · (3.172 + 6.172 + 2.172) = 1.272.
    """
    logits = np.array([[5.0, 2.0, -1.0, 3.0]])
    hard, soft = (targets_of(4, smoothing, np.float64)[[0]] for smoothing in (0.0, 0.4))
    alone = BatchWeights.equal(1, np.float64)

    assert SoftmaxCrossEntropy().forward(logits, hard, alone) == pytest.approx(0.172, abs=5e-4)
    assert SoftmaxCrossEntropy().forward(logits, soft, alone) == pytest.approx(1.272, abs=5e-4)


def test_weights_weigh_the_loss(rng: np.random.Generator) -> None:
    """A row of weight 3 is that row three times."""
    logits, labels, counts = rng.normal(size=(4, 3)), np.array([0, 2, 1, 1]), np.array([1, 3, 2, 1])
    loss, targets = SoftmaxCrossEntropy(), np.eye(3)[labels]
    weighted = loss.forward(logits, targets, BatchWeights.of(counts.astype(np.float64)))
    repeated = loss.forward(
        np.repeat(logits, counts, axis=0), np.repeat(targets, counts, axis=0), BatchWeights.equal(7, np.float64)
    )

    assert weighted == pytest.approx(repeated)
    assert weighted == pytest.approx(cross_entropy(softmax(logits), labels, counts.astype(np.float64)))


def test_a_loss_beyond_float32_is_still_a_number() -> None:
    """A certain and wrong answer costs as much as the least probability that float32 knows."""
    assert cross_entropy(np.array([[0.0, 1.0]], np.float32), np.array([0])) == pytest.approx(87.3, abs=0.1)
