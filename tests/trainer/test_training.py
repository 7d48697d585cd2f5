import numpy as np
import pytest

from trainer.errors import Diverged
from trainer.nn.network import Network, build_network
from trainer.training import Encoded, Epoch, History, fit, score


@pytest.fixture
def parts() -> tuple[Encoded, Encoded]:
    """Two moons of noise: not separable by a line, easily by a network."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, 400)
    labels = np.arange(400) % 2
    sign = np.where(labels, -1.0, 1.0)
    inputs = np.column_stack([np.cos(angles) * sign + labels, np.sin(angles) * sign + 0.4 * labels])
    inputs = (inputs + rng.normal(scale=0.1, size=inputs.shape)).astype(np.float32)
    return Encoded(inputs[:300], labels[:300]), Encoded(inputs[300:], labels[300:])


def train(parts: tuple[Encoded, Encoded], seed: int = 0, **settings: float) -> tuple[Network, History]:
    rng = np.random.default_rng(seed)
    network = build_network(2, (16, 16), np.array([1, 1]), epsilon=1e-5, ewma_decay=0.9, rng=rng)
    options = {"batch_size": 32, "epochs": 40, "patience": 40, "learning_rate": 1e-2} | settings
    return network, fit(network, *parts, rng=rng, watch=lambda _: None, **options)  # type: ignore[arg-type]


def test_it_learns(parts: tuple[Encoded, Encoded]) -> None:
    """Two interleaved moons are told apart."""
    network, history = train(parts)

    assert score(network, parts[1]).accuracy >= 0.97
    assert history.epochs[-1].loss < history.epochs[0].loss / 3


def test_it_can_learn_ten_rows_by_heart(parts: tuple[Encoded, Encoded]) -> None:
    """The capacity is there: a network that cannot overfit has a defect."""
    ten = Encoded(parts[0].inputs[:10], parts[0].labels[:10])
    network, _ = train((ten, ten), epochs=200, patience=200)

    assert score(network, ten).log_loss < 0.05


def test_the_best_epoch_is_kept(parts: tuple[Encoded, Encoded]) -> None:
    """Afterwards the network answers as it did after its best epoch, its statistics included."""
    network, history = train(parts)

    best = min(history.epochs, key=lambda epoch: epoch.validation.log_loss)
    assert history.best == best
    assert score(network, parts[1]) == best.validation


def test_it_stops_when_nothing_improves(parts: tuple[Encoded, Encoded]) -> None:
    """After `patience` epochs without a new lowest validation log-loss."""
    _, history = train(parts, epochs=400, patience=5)

    assert len(history.epochs) == history.best.number + 5


def test_one_seed_is_one_run(parts: tuple[Encoded, Encoded]) -> None:
    """The same seed repeats every bit; another seed does not."""
    first, again, other = (train(parts, seed)[0].values for seed in (3, 3, 4))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_divergence_is_stopped(parts: tuple[Encoded, Encoded]) -> None:
    """A loss that is no number ends the run with a way out."""
    with pytest.raises(Diverged, match="--learning-rate"):
        train(parts, learning_rate=1e38)


def test_every_epoch_is_reported(parts: tuple[Encoded, Encoded]) -> None:
    """In order, as it ends."""
    seen: list[Epoch] = []
    network = build_network(2, (4,), np.array([1, 1]), epsilon=1e-5, ewma_decay=0.9, rng=np.random.default_rng(0))
    history = fit(
        network,
        *parts,
        batch_size=32,
        epochs=3,
        patience=3,
        learning_rate=1e-3,
        rng=np.random.default_rng(0),
        watch=seen.append,
    )

    assert tuple(seen) == history.epochs
    assert [epoch.number for epoch in seen] == [1, 2, 3]
