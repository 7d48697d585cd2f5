import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest

from trainer.errors import Diverged
from trainer.nn.activations import ACTIVATIONS
from trainer.nn.architecture import build_network
from trainer.nn.network import Network
from trainer.nn.optimizers import OPTIMIZERS
from trainer.nn.schedules import SCHEDULES
from trainer.nn.statistics import Moments
from trainer.settings import hyperparameters
from trainer.settings.hyperparameters import Hyperparameters
from trainer.training.fit import fit, score
from trainer.training.freezing import Frozen, disagreement, freeze, log_loss_on
from trainer.training.records import Encoded, Epoch, History, Snapshot
from trainer.training.weighting import as_counts, weigh

Parts = tuple[Encoded, Encoded]


@pytest.fixture
def parts() -> Parts:
    """Two moons of noise: not separable by a line, easily by a network."""
    rng = np.random.default_rng(0)
    angles = rng.uniform(0, np.pi, 400)
    labels = np.arange(400) % 2
    sign = np.where(labels, -1.0, 1.0)
    inputs = np.column_stack([np.cos(angles) * sign + labels, np.sin(angles) * sign + 0.4 * labels])
    inputs = (inputs + rng.normal(scale=0.1, size=inputs.shape)).astype(np.float32)
    return Encoded(inputs[:300], labels[:300]), Encoded(inputs[300:], labels[300:])


class Memory:
    """A checkpoint that remembers instead of writing."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.saved: list[Snapshot] = [snapshot] if snapshot else []

    def load(self) -> Snapshot | None:
        return self.saved[-1] if self.saved else None

    def save(self, snapshot: Snapshot) -> None:
        self.saved.append(replace(snapshot, optimizer_memory=tuple(one.copy() for one in snapshot.optimizer_memory)))


def train(
    parts: Parts,
    seed: int = 0,
    checkpoint: Memory | None = None,
    watch: Callable[[Epoch], None] = lambda _: None,
    **settings: Any,
) -> tuple[Network, History]:
    rng = np.random.default_rng(seed)
    options = {
        "hidden": (16, 16),
        "batch_size": 32,
        "epochs": 40,
        "patience": 40,
        "learning_rate": 1e-2,
        "input_dropout": 0,
    } | settings
    hyperparameters = Hyperparameters.of(**options)
    network = build_network(hyperparameters.architecture(2, 2), rng)
    return network, fit(network, *parts, hyperparameters, rng, watch=watch, checkpoint=checkpoint)


def test_it_learns(parts: Parts) -> None:
    """Two interleaved moons are told apart."""
    network, history = train(parts)

    assert score(network, parts[1]).accuracy >= 0.97
    assert history.epochs[-1].loss < history.epochs[0].loss / 3


RECIPES: dict[str, dict[str, Any]] = {
    "leaky_relu": {"activation": "leaky_relu"},
    "elu": {"activation": "elu"},
    "selu": {"activation": "selu"},
    "silu": {"activation": "silu"},
    "sigmoid": {"activation": "sigmoid", "epochs": 120, "patience": 120},
    "tanh": {"activation": "tanh"},
    "gradient descent": {"optimizer": "sgd", "learning_rate": 0.3},
    "momentum": {"optimizer": "momentum", "learning_rate": 0.05},
    "nesterov": {"optimizer": "nesterov", "learning_rate": 0.05},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 3e-3},
    "adamw": {"optimizer": "adamw", "weight_decay": 1e-2},
    "batch norm after": {"batch_norm": "after"},
    "no batch norm": {"batch_norm": "none"},
    "dropout": {"dropout": 0.1, "statistics": "population"},
    "step": {"schedule": "step"},
    "cosine with warm-up": {"schedule": "cosine", "warm_up": 0.1},
    "coslog4": {"schedule": "coslog4", "learning_rate": 0.04},
    "label smoothing": {"label_smoothing": 0.1},
    "clipping": {"clip_norm": 0.5},
    "single rows": {"batch_norm": "none", "batch_size": 1, "epochs": 10, "learning_rate": 3e-3},
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_choice_learns(parts: Parts, recipe: dict[str, Any]) -> None:
    """Any activation, optimizer, schedule and place of batch norm tells the moons apart, which no line does."""
    network, _ = train(parts, **recipe)

    assert score(network, parts[1]).accuracy >= 0.95


def test_it_can_learn_ten_rows_by_heart(parts: Parts) -> None:
    """The capacity is there: a network that cannot overfit has a defect."""
    ten = Encoded(parts[0].inputs[:10], parts[0].labels[:10])
    network, _ = train((ten, ten), epochs=200, patience=200)

    assert score(network, ten).log_loss < 0.05


def test_the_best_epoch_is_kept(parts: Parts) -> None:
    """Afterwards the network answers as it did after its best epoch, its statistics included."""
    network, history = train(parts)
    freeze(network, parts[0], log_loss_on(network, parts[1]), statistics="running", batch_size=32)

    best = min((epoch for epoch in history.epochs), key=lambda epoch: epoch.validation.log_loss)  # type: ignore[union-attr]
    assert history.best == best
    assert score(network, parts[1]) == best.validation


def test_it_stops_when_nothing_improves(parts: Parts) -> None:
    """After `patience` epochs without a new lowest validation log-loss."""
    _, history = train(parts, epochs=400, patience=5)

    assert len(history.epochs) == history.best.number + 5


def test_without_a_validation_part_the_last_epoch_is_kept(parts: Parts) -> None:
    """There is nothing to choose by."""
    network, history = train((parts[0], None), epochs=7)  # type: ignore[arg-type]

    assert history.best is history.epochs[-1]
    assert (len(history.epochs), history.best.validation) == (7, None)
    assert score(network, parts[1]).rows == 100


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_one_seed_is_one_run(parts: Parts, dropout: float) -> None:
    """The same seed repeats every bit; another seed does not."""
    first, again, other = (train(parts, seed, dropout=dropout, epochs=5)[0].values for seed in (3, 3, 4))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "nesterov"])
@pytest.mark.parametrize("killed_after", [1, 7, 20])
def test_a_run_taken_up_ends_as_if_it_had_not_stopped(parts: Parts, killed_after: int, optimizer: str) -> None:
    """Bit for bit: weights, statistics, history, dropout and the choice of the epoch."""
    settings: dict[str, Any] = {"optimizer": optimizer, "dropout": 0.2, "epochs": 20, "learning_rate": 3e-3}
    memory = Memory()
    whole, history = train(parts, checkpoint=memory, **settings)
    rest, taken_up = train(parts, checkpoint=Memory(memory.saved[killed_after - 1]), **settings)

    np.testing.assert_array_equal(rest.values, whole.values)
    np.testing.assert_array_equal(rest.running.sums, whole.running.sums)
    assert taken_up == history


def test_a_run_that_had_stopped_early_stays_stopped(parts: Parts) -> None:
    """A kill between the last epoch and publishing adds no epoch."""
    memory = Memory()
    _, history = train(parts, checkpoint=memory, epochs=400, patience=5)
    _, taken_up = train(parts, checkpoint=Memory(memory.saved[-1]), epochs=400, patience=5)

    assert taken_up == history


def test_an_interrupt_keeps_the_best_so_far(parts: Parts) -> None:
    """Ctrl-C in the middle of an epoch ends the run with its best whole epoch."""

    def interrupt(epoch: Epoch) -> None:
        if epoch.number == 8:
            raise KeyboardInterrupt

    network, history = train(parts, watch=interrupt)
    freeze(network, parts[0], log_loss_on(network, parts[1]), statistics="running", batch_size=32)

    assert history.interrupted
    assert len(history.epochs) == 8
    assert score(network, parts[1]) == history.best.validation


def test_an_interrupt_before_the_first_epoch_leaves_nothing(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no best so far."""

    def interrupt(*_: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.training.fit.train_one_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(parts)


@pytest.mark.parametrize("settings", [{"learning_rate": 1e38}, {"learning_rate": 1e30, "optimizer": "sgd"}], ids=str)
def test_divergence_is_stopped(parts: Parts, settings: dict[str, Any]) -> None:
    """A loss that is no number ends the run with a way out, and without a warning."""
    with pytest.raises(Diverged, match="--learning-rate"):
        train(parts, **settings)


def test_every_epoch_is_reported(parts: Parts) -> None:
    """In order, as it ends."""
    seen: list[Epoch] = []
    _, history = train(parts, watch=seen.append, epochs=3)

    assert tuple(seen) == history.epochs
    assert [epoch.number for epoch in seen] == [1, 2, 3]


def test_a_weight_counts_a_row_so_many_times(parts: Parts) -> None:
    """With all rows in one batch, weights and repetition train the same network."""
    train_part, validation = parts
    counts = np.random.default_rng(1).integers(1, 4, len(train_part))
    weighted = replace(train_part, weights=counts.astype(np.float32))
    repeated = Encoded(np.repeat(train_part.inputs, counts, axis=0), np.repeat(train_part.labels, counts))
    settings: dict[str, Any] = {"batch_size": 2000, "epochs": 5}
    one, other = (train((part, validation), **settings) for part in (weighted, repeated))

    assert [epoch.loss for epoch in one[1].epochs] == pytest.approx([epoch.loss for epoch in other[1].epochs], rel=1e-4)
    np.testing.assert_allclose(one[0].running.sums, other[0].running.sums, rtol=1e-2, atol=1e-3)


def test_balanced_classes_count_alike(parts: Parts) -> None:
    """With 9 rows of one class for each of the other, the rare class is no longer overlooked."""
    train_part = parts[0]
    rare = train_part.labels == 1
    kept = np.flatnonzero(~rare | (np.cumsum(rare) % 9 == 0))
    noisy = train_part.inputs[kept] + np.random.default_rng(2).normal(scale=0.8, size=(len(kept), 2)).astype(np.float32)
    skewed = Encoded(noisy, train_part.labels[kept])
    balanced = weigh(skewed, skewed, 2)
    recalls = []
    for part in (skewed, balanced):
        network, _ = train((part, part), epochs=10, hidden=())
        of_rare = parts[1].labels == 1
        recalls.append((network.predict(parts[1].inputs[of_rare]).argmax(axis=1) == 1).mean())

    assert np.bincount(skewed.labels, balanced.weights) == pytest.approx([len(kept) / 2] * 2)
    assert recalls[0] < 0.5 < recalls[1] - 0.2


def test_a_class_that_training_never_saw_is_left_as_it_is() -> None:
    """Validation rows of it count once: a table that is split by time may have them."""
    part = Encoded(np.zeros((4, 1), np.float32), np.array([0, 0, 0, 1]))
    with_new = Encoded(np.zeros((2, 1), np.float32), np.array([1, 2]))
    weighed = weigh(with_new, part, 3).weights

    assert weighed is not None
    assert weighed.tolist() == pytest.approx([4 / 3, 1])


def test_weights_below_one_compare_rows() -> None:
    """They cannot say how many times a row counts, so they are scaled to a mean of one; others are left as they are."""
    assert as_counts(np.array([0.1, 0.3])) == pytest.approx([0.5, 1.5])
    assert as_counts(np.array([1.0, 3.0])) == pytest.approx([1, 3])


def test_dropout_makes_the_two_kinds_of_statistics_disagree(parts: Parts) -> None:
    """The variance shift of Li et al. (2019); auto takes the kind with the lower validation log-loss and says so."""
    network, _ = train(parts, dropout=0.5, epochs=30)
    frozen = freeze(network, parts[0], log_loss_on(network, parts[1]), statistics="auto", batch_size=32)
    losses = {"running": frozen.running_loss, "population": frozen.population_loss}

    assert frozen.source == min(losses, key=losses.__getitem__)
    assert score(network, parts[1]).log_loss == min(losses.values())
    assert frozen.largest_shift(1e-5) > 0


@pytest.mark.parametrize("statistics", ["running", "population"])
def test_what_was_asked_for_is_frozen(parts: Parts, statistics: str) -> None:
    """And both kinds are measured whatever was asked for."""
    network, _ = train(parts, statistics=statistics, epochs=3)
    frozen = freeze(network, parts[0], log_loss_on(network, parts[1]), statistics=statistics, batch_size=32)  # type: ignore[arg-type]
    chosen = frozen.running if statistics == "running" else frozen.population

    assert frozen.source == statistics
    for layer, moments in zip(network.batch_norms, network.by_layer(chosen), strict=True):
        np.testing.assert_array_equal(layer.moments.mean, moments.mean)
    assert not np.array_equal(frozen.running.mean, frozen.population.mean)


UNFORTUNATE = {
    "two rows": np.array([[0.0], [1.0]]),
    "constant columns": np.ones((50, 3)),
    "magnitude 1e8": np.random.default_rng(0).normal(1e8, 1e7, size=(50, 3)),
    "tiny values": np.random.default_rng(0).normal(size=(50, 3)) * 1e-30,
    "duplicate rows": np.repeat(np.random.default_rng(0).normal(size=(2, 3)), 25, axis=0),
}


@pytest.mark.parametrize("inputs", UNFORTUNATE.values(), ids=UNFORTUNATE)
@pytest.mark.parametrize("place", ["before", "after"])
def test_unfortunate_rows_leave_a_finite_network(inputs: np.ndarray[tuple[int, int]], place: str) -> None:
    """Constant, huge, tiny or repeated: the statistics, the weights and the answers stay numbers."""
    part = Encoded(inputs.astype(np.float32), np.arange(len(inputs)) % 2)
    rng = np.random.default_rng(0)
    settings = Hyperparameters.of(epochs=5, batch_norm=place)
    network = build_network(settings.architecture(inputs.shape[1], 2), rng)
    fit(network, part, part, settings, rng)

    assert np.isfinite(network.values).all()
    assert np.isfinite(network.predict(part.inputs)).all()


def test_losses_fall_most_in_the_first_epochs(parts: Parts) -> None:
    """The history can be drawn as a learning curve."""
    _, history = train(parts, epochs=10)

    falls = [before.loss - after.loss for before, after in pairwise(history.epochs)]
    assert max(falls) == max(falls[:3])


def test_networks_whose_statistics_disagree_are_counted_in_one_sentence() -> None:
    """With the log-losses of the network where they are farthest apart; of one network alone, nothing is counted."""
    none = Moments(np.empty(0), np.empty(0))
    agreeing, near, far = (Frozen("running", none, none, 0.5, population) for population in (0.505, 0.48, 0.4))

    said, alone = disagreement([near, agreeing, far]), disagreement([far])
    assert said is not None
    assert alone is not None
    assert "disagree in 2 of 3 networks: validation log-loss 0.5000 and 0.4000 where they are farthest apart;" in said
    assert "disagree: validation log-loss 0.5000 and 0.4000;" in alone
    assert disagreement([agreeing, agreeing]) is None


def test_training_needs_little_more_than_the_table() -> None:
    """Beside the table: less than one shuffled copy of it, one batch's buffers and the parameters four times.

    Values, gradients and Adam's two memories are the four; the best epoch is kept in what the shuffled copy leaves.
    """
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(20_000, 64)).astype(np.float32)
    part = Encoded(inputs, rng.integers(10, size=20_000))
    settings = Hyperparameters.of(hidden=(256, 256), batch_size=256, epochs=1, compiled=False)
    network = build_network(settings.architecture(64, 10), rng)
    tracemalloc.start()
    fit(network, part, part, settings, rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    buffers = 256 * (64 + 3 * 256 + 3 * 256 + 4 * 10) * 4

    assert peak < inputs.nbytes + buffers + 4 * network.values.nbytes


def test_every_layer_rule_and_schedule_can_be_named() -> None:
    """What the settings allow is what there is."""
    assert get_args(hyperparameters.Activation) == tuple(ACTIVATIONS)
    assert get_args(hyperparameters.Optimizer) == tuple(OPTIMIZERS)
    assert get_args(hyperparameters.Schedule) == tuple(SCHEDULES)
