import numpy as np
import pytest

from tests.trainer.nn.test_gradients import assert_same, differences
from trainer.nn.architecture import MOST_PERIODIC, Architecture, build_network
from trainer.nn.batches import BatchWeights
from trainer.nn.embeddings import Embedding, Periodic
from trainer.nn.layers import Linear

EQUAL = BatchWeights.equal(4, np.float64)


def test_a_code_becomes_its_vector(rng: np.random.Generator) -> None:
    """The last two columns are codes, and stay where they are."""
    layer = Embedding(2, 5, 2, rng)
    layer.table.value = np.arange(10.0).reshape(5, 2)
    inputs = np.array([[0.5, 0, 3], [-0.5, 2, 4]])

    expected = [[0.5, 0, 1, 6, 7], [-0.5, 4, 5, 8, 9]]
    assert layer.infer(inputs).tolist() == expected
    assert layer.forward(inputs, EQUAL).tolist() == expected
    assert layer.wider(3) == 5


def test_a_vector_learns_from_every_row_of_its_code(rng: np.random.Generator) -> None:
    """Against differences in float64; rows that share a code add up, and a code that nobody has stays as it is."""
    layer = Embedding(2, 7, 2, rng)
    inputs = np.array([[0.1, 1, 4], [0.2, 1, 6], [0.3, 3, 4], [0.4, 0, 4]])
    cotangent = rng.normal(size=(4, 5))

    def value() -> float:
        return float((cotangent * layer.forward(inputs, EQUAL)).sum())

    by_table = differences(value, layer.table.value)
    value()
    by_inputs = layer.backward(cotangent.copy())
    assert_same(layer.table.grad, by_table)
    assert not layer.table.grad[2].any()
    assert np.array_equal(by_inputs, np.column_stack([cotangent[:, 0], np.zeros((4, 2))]))


def test_a_number_is_joined_by_mixed_cosines(rng: np.random.Generator) -> None:
    """Worked by hand: one frequency of 2, a phase of 1, a factor of 3, for the second column only."""
    layer = Periodic([1], rng, deviation=1.0, frequencies=1, outputs=1)
    layer.frequency.value[:], layer.phase.value[:], layer.mixing.value[:] = 2, 1, 3
    inputs = np.array([[0.5, 0.25], [7.0, -1.0]])

    expected = np.column_stack([inputs, 3 * np.cos([1.5, -1.0])])
    np.testing.assert_allclose(layer.infer(inputs), expected, rtol=1e-12)
    np.testing.assert_allclose(layer.forward(inputs, EQUAL), expected, rtol=1e-12)


@pytest.mark.parametrize("columns", [MOST_PERIODIC, MOST_PERIODIC + 1])
def test_many_numbers_are_not_embedded(rng: np.random.Generator, columns: int) -> None:
    """Up to forty; the network would be little else."""
    architecture = Architecture(columns, (4,), 2, periodic=0.2, varied=tuple(range(columns)))
    kinds = [type(layer) for layer in build_network(architecture, rng).layers]

    assert (Periodic in kinds) is (columns <= MOST_PERIODIC)


def test_the_first_linear_layer_passes_back_what_embeddings_learn_from(rng: np.random.Generator) -> None:
    """And nothing where only dropout stands before it."""
    learning = build_network(Architecture(3, (4,), 2, coded=1, codes=5, periodic=0.2, varied=(0, 1)), rng)
    dropping = build_network(Architecture(3, (4,), 2, input_dropout=0.5), rng)

    firsts = [next(layer for layer in network.layers if isinstance(layer, Linear)) for network in (learning, dropping)]
    assert [first.feeds_back for first in firsts] == [True, False]
    assert [type(layer) for layer in learning.layers[:2]] == [Embedding, Periodic]
    dropping.forward(rng.normal(size=(4, 3)).astype(np.float32), BatchWeights.equal(4))
    dropping.backward(np.ones((4, 2), np.float32))
