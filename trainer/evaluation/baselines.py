"""What can be reached without a deep network: always the commonest class, and softmax regression on the same inputs."""

import numpy as np

from models.evaluation import Baseline
from trainer.arrays import Array, Labels
from trainer.data.split import Indices
from trainer.fitting.start import Start, generator
from trainer.measures.scores import Vector, gain_over, losses_of
from trainer.nn.architecture import build_network
from trainer.nn.loss import softmax
from trainer.settings.hyperparameters import Hyperparameters
from trainer.training.fit import fit
from trainer.training.records import Encoded

# So many rows, from everywhere in a part, are enough for so few parameters.
MOST_ROWS = 20_000
FEWEST_STEPS, FEWEST_EPOCHS = 700, 20
# A stream of randomness of its own: what the members of the bag draw stays the same.
STREAM = 900


def commonest_class(
    answers: Array, labels: Labels, classes: tuple[str, ...], shares: Vector, counts: Vector, weigh: Vector
) -> Baseline:
    """Always answering the commonest class of training, with the `shares` (classes,) of training for probabilities.

    `counts` (n,) are the weights of the rows, and `weigh` (n,) those in the gain of `answers` (n, classes).
    """
    label = int(shares.argmax())
    # With classes that count alike, guessing knows no class from another.
    known = shares if np.array_equal(counts, weigh) else np.full(len(classes), 1 / len(classes))
    losses = -np.log(np.maximum(known, 1e-9))[labels]
    gain, interval = gain_over(losses_of(answers, labels), losses, weigh)
    return Baseline(
        kind="commonest class",
        answer=classes[label],
        log_loss=float(np.average(-np.log(np.maximum(shares, 1e-9))[labels], weights=counts)),
        accuracy=float(np.average(labels == label, weights=counts)),
        gain=gain,
        gain_interval=interval,
    )


def softmax_baseline(answers: Array, baseline: Array, labels: Labels, counts: Vector, weigh: Vector) -> Baseline:
    """What softmax regression reaches with its probabilities `baseline` (n, classes)."""
    losses = losses_of(baseline, labels)
    gain, interval = gain_over(losses_of(answers, labels), losses, weigh)
    return Baseline(
        kind="softmax regression",
        log_loss=float(np.average(losses, weights=counts)),
        accuracy=float(np.average(baseline.argmax(axis=1) == labels, weights=counts)),
        gain=gain,
        gain_interval=interval,
    )


def softmax_regression(start: Start, seed: int, class_factors: Vector) -> Array:
    """Train our own network with no hidden layer, briefly; its probabilities (n, classes) of the test rows.

    It gets the inputs that the networks get, and the rows of the first of them. `class_factors` (classes,) say how much
    the rows of each class count in training.

    :raises Diverged: the loss stopped being finite.
    """
    (fold, *_) = start.split.folds
    train, validation = (_some(start, part, class_factors) for part in (fold.train, fold.validation))
    settings = _settings(len(train))
    encoder, classes = start.encoder, len(start.examples.classes)
    architecture = settings.architecture(encoder.width, classes, coded=len(encoder.coded), codes=encoder.codes)
    totals = np.bincount(train.labels, train.weights, minlength=classes)
    rng = generator(seed, STREAM)
    network = build_network(architecture, rng, class_shares=np.maximum(totals / totals.sum(), 1e-9))
    fit(network, train, validation, settings, rng)
    return softmax(network.logits(start.part(start.split.test).inputs))


def _settings(rows: int) -> Hyperparameters:
    """A high learning rate and few steps: the loss is convex in all but embeddings."""
    usual = Hyperparameters(hidden=(), periodic=0.0, input_dropout=0.0, learning_rate=0.05, weight_decay=0.01)
    epochs = max(FEWEST_EPOCHS, FEWEST_STEPS * usual.batch_of(rows) // rows)
    # Compiling would take longer than the training.
    return usual.model_copy(update={"epochs": epochs, "patience": max(5, epochs // 5), "compiled": False})


def _some(start: Start, part: Indices, class_factors: Vector) -> Encoded:
    """Evenly spaced rows of a long part, weighed."""
    if len(part) > MOST_ROWS:
        part = part[np.linspace(0, len(part) - 1, MOST_ROWS, dtype=np.int64)]
    encoded = start.part(part)
    own = 1.0 if encoded.weights is None else encoded.weights
    return Encoded(encoded.inputs, encoded.labels, (class_factors[encoded.labels] * own).astype(np.float32))
