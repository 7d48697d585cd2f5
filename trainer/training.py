"""Training: shuffled mini-batches, and the epoch that did best on the validation part."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trainer.arrays import Array, Labels
from trainer.errors import Diverged
from trainer.nn.loss import cross_entropy, cross_entropy_grad, softmax
from trainer.nn.network import Network, batches
from trainer.nn.optimizers import Adam


@dataclass(frozen=True)
class Encoded:
    """One part of the table as the network sees it: `inputs` (n, width), `labels` (n,)."""

    inputs: Array
    labels: Labels


@dataclass(frozen=True)
class Score:
    """How well a network does on one part. `log_loss` is in nats."""

    rows: int
    log_loss: float
    accuracy: float


@dataclass(frozen=True)
class Epoch:
    """One pass over the training rows. `loss` is the mean over its batches, each under the weights of its moment."""

    number: int
    loss: float
    validation: Score


@dataclass(frozen=True)
class History:
    """Every epoch of a run, and the one whose weights were kept."""

    epochs: tuple[Epoch, ...]
    best: Epoch


def score(network: Network, part: Encoded) -> Score:
    """Measure a network on one part, with frozen statistics."""
    probabilities = network.predict(part.inputs)
    accuracy = float((probabilities.argmax(axis=1) == part.labels).mean())
    return Score(len(part.labels), cross_entropy(probabilities, part.labels), accuracy)


def fit(
    network: Network,
    train: Encoded,
    validation: Encoded,
    *,
    batch_size: int,
    epochs: int,
    patience: int,
    learning_rate: float,
    rng: np.random.Generator,
    watch: Callable[[Epoch], None],
) -> History:
    """Train in place and leave the network as it was after the epoch with the lowest validation log-loss.

    Stops after `patience` epochs without a new lowest. `watch` is called after every epoch.

    :raises Diverged: the loss stopped being finite.
    """
    optimizer = Adam(network.values, network.grads)
    history: list[Epoch] = []
    best, best_state = None, network.state()
    for number in range(1, epochs + 1):
        loss = _train_one_epoch(network, optimizer, train, batch_size, learning_rate, rng)
        epoch = Epoch(number, loss, score(network, validation))
        if not np.isfinite([loss, epoch.validation.log_loss]).all():
            raise Diverged(f"training diverged in epoch {number} (loss {loss}); a lower --learning-rate may help")
        history.append(epoch)
        watch(epoch)
        if best is None or epoch.validation.log_loss < best.validation.log_loss:
            best, best_state = epoch, network.state()
        elif number - best.number >= patience:
            break
    assert best is not None  # epochs is at least 1
    network.restore(best_state)
    return History(tuple(history), best)


def _train_one_epoch(
    network: Network,
    optimizer: Adam,
    train: Encoded,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
) -> float:
    order = rng.permutation(len(train.labels))
    total = 0.0
    for batch in batches(len(order), batch_size):
        chosen = order[batch]
        labels = train.labels[chosen]
        probabilities = softmax(network.forward(train.inputs[chosen], training=True))
        total += cross_entropy(probabilities, labels) * len(labels)
        network.backward(cross_entropy_grad(probabilities, labels))
        network.track()
        optimizer.step(learning_rate)
    return total / len(order)
