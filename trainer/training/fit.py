"""Training: shuffled mini-batches, and the epoch that did best on the validation part."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from trainer.arrays import Array, Labels
from trainer.errors import Diverged
from trainer.nn.batches import Batches, MiniBatches
from trainer.nn.loss import SoftmaxCrossEntropy, cross_entropy, targets_of
from trainer.nn.network import Network, population_moments, running_moments
from trainer.nn.optimizers import OPTIMIZERS, Optimizer
from trainer.nn.schedules import learning_rates
from trainer.nn.step import NumpyStep, Step
from trainer.settings.hyperparameters import Hyperparameters
from trainer.training.deadline import NEVER, Deadline
from trainer.training.interrupts import held_back
from trainer.training.records import (
    Best,
    Checkpoint,
    Encoded,
    Epoch,
    History,
    OutOfTime,
    Score,
    Snapshot,
    StopTraining,
)
from trainer.training.unit import look_at_unit


def score(network: Network, part: Encoded) -> Score:
    """Measure a network on one part, with frozen statistics."""
    return score_of(network.predict(part.inputs), part.labels, part.weights)


def score_of(probabilities: Array, labels: Labels, weights: Array | None) -> Score:
    """Measure probabilities (n, classes) against labels (n,)."""
    right = probabilities.argmax(axis=1) == labels
    log_loss = cross_entropy(probabilities, labels, weights)
    return Score(len(labels), log_loss, float(np.average(right, weights=weights)))


def fit(
    network: Network,
    train: Encoded,
    validation: Encoded | None,
    settings: Hyperparameters,
    rng: np.random.Generator,
    *,
    watch: Callable[[Epoch], None] = lambda _: None,
    checkpoint: Checkpoint | None = None,
    batches: Batches | None = None,
    deadline: Deadline = NEVER,
) -> History:
    """Train in place and leave the network as it was after the epoch with the lowest validation log-loss.

    Stops after `patience` epochs without a new lowest; without a validation part every epoch is run and the last one
    kept. `watch` is called after every epoch. With a `checkpoint` every epoch is saved, and a run that it holds is
    taken up where it ended. Ctrl-C ends the run with the best epoch so far, and so does the `deadline`. The `batches`
    are those of `train`, where nothing else is handed over.

    :raises Diverged: the loss stopped being finite.
    :raises KeyboardInterrupt: before the first epoch was over.
    :raises OutOfTime: before the first epoch was over.
    """
    optimizer = build_optimizer(network, settings)
    step = step_of(network, optimizer, settings)
    batches = batches or batches_of(train, settings, network)
    rate_of = learning_rates(
        settings.learning_rate,
        settings.schedule,
        steps=settings.epochs * len(batches),
        warm_up=settings.warm_up,
    )
    epochs: list[Epoch] = []
    best: Best | None = None
    if checkpoint and (snapshot := checkpoint.load()):
        epochs, best = list(snapshot.epochs), snapshot.best
        _restore(snapshot, network, optimizer, rng)
    ending: BaseException | None = None
    try:
        while len(epochs) < settings.epochs and not _is_stale(epochs, best, settings.patience):
            mean_loss = train_one_epoch(step, batches, rate_of, rng, lambda: deadline.check(len(epochs)))
            freeze_for_validation(network, train, settings)
            scored = score(network, validation) if validation else None
            unit = look_at_unit(network, (validation or train).inputs)
            epoch = Epoch(len(epochs) + 1, mean_loss, scored, unit)
            check_finite(epoch)
            epochs.append(epoch)
            best = _better(best, epoch, network)
            if checkpoint:
                checkpoint.save(_snapshot(epochs, best, network, optimizer, rng))
            watch(epoch)
    except StopTraining:
        pass
    except (KeyboardInterrupt, OutOfTime) as stopped:
        if not epochs:
            raise
        ending = stopped
    if best:
        network.restore(best.state)
    interrupted, out_of_time = (isinstance(ending, kind) for kind in (KeyboardInterrupt, OutOfTime))
    return History(tuple(epochs), best.epoch if best else epochs[-1], interrupted, out_of_time, step.compiled)


def build_optimizer(network: Network, settings: Hyperparameters) -> Optimizer:
    """The update rule that the settings name, over the parameters of the network."""
    return OPTIMIZERS[settings.optimizer](
        network.values,
        network.grads,
        beta1=settings.beta1,
        beta2=settings.beta2,
        weight_decay=settings.weight_decay,
        decayed=network.decayed,
    )


def step_of(network: Network, optimizer: Optimizer, settings: Hyperparameters) -> Step:
    """One step of training as the settings describe it."""
    return build_step(
        network, SoftmaxCrossEntropy(), optimizer, clip_norm=settings.clip_norm, compiled=settings.compiled
    )


def build_step(
    network: Network,
    loss: SoftmaxCrossEntropy,
    optimizer: Optimizer,
    *,
    clip_norm: float | None = None,
    compiled: bool = True,
) -> Step:
    """The step in numpy, or the compiled one where that is wanted and can be had; both compute the same."""
    if compiled:
        # numba may be absent, unfit for this numpy, or without a folder for what it compiled.
        with suppress(ImportError, RuntimeError):
            from trainer.nn.compiled import CompiledStep, Plan

            if plan := Plan.of(network):
                return CompiledStep(network, loss, optimizer, clip_norm, plan)
    return NumpyStep(network, loss, optimizer, clip_norm)


def batches_of(train: Encoded, settings: Hyperparameters, network: Network) -> MiniBatches:
    """The mini-batches of a part, their targets those of its labels."""
    targets = targets_of(network.classes, settings.label_smoothing, network.values.dtype)
    return MiniBatches(train.inputs, train.labels, train.weights, settings.batch_of(len(train)), targets)


def freeze_for_validation(network: Network, train: Encoded, settings: Hyperparameters) -> None:
    """Freeze the statistics that a model of this moment would be published with."""
    if settings.statistics == "population":
        network.freeze(population_moments(network, train.inputs, settings.batch_of(len(train)), train.weights))
    else:
        network.freeze(running_moments(network))


def train_one_epoch(
    step: Step,
    batches: Batches,
    rate_of: Callable[[int], float],
    rng: np.random.Generator,
    check: Callable[[], None] = lambda: None,
) -> float:
    """Take a step on every mini-batch and return the mean loss, each under the weights of its moment.

    What `check` raises, before a step, ends it.

    :raises KeyboardInterrupt: between two steps.
    """
    total = rows = 0.0
    # An overflow shows in the loss, which is looked at; a warning on top would tell nobody anything.
    with np.errstate(all="ignore"), held_back() as ctrl_c:
        for inputs, targets, weights in batches.shuffled(rng):
            ctrl_c.let_through()
            check()
            total += step(inputs, targets, weights, rate_of(step.optimizer.steps)) * weights.total
            rows += weights.total
    return total / rows


def check_finite(epoch: Epoch) -> None:
    """Stop a run that has left the numbers.

    :raises Diverged: a loss is no finite number.
    """
    log_loss = epoch.validation.log_loss if epoch.validation else 0.0
    if not np.isfinite([epoch.loss, log_loss]).all():
        raise Diverged(
            f"training diverged in epoch {epoch.number} (loss {epoch.loss}); a lower --learning-rate may help, "
            "and `evenkeel lr-find` suggests one"
        )


def _better(best: Best | None, epoch: Epoch, network: Network) -> Best | None:
    """The best epoch so far, this one counted in; of two that are equal, the first."""
    if epoch.validation is None:
        return None
    if best and best.epoch.validation and best.epoch.validation.log_loss <= epoch.validation.log_loss:
        return best
    return Best(epoch, network.state())


def _is_stale(epochs: list[Epoch], best: Best | None, patience: int) -> bool:
    return best is not None and epochs[-1].number - best.epoch.number >= patience


def _snapshot(
    epochs: list[Epoch], best: Best | None, network: Network, optimizer: Optimizer, rng: np.random.Generator
) -> Snapshot:
    generator = dict(rng.bit_generator.state)
    return Snapshot(tuple(epochs), best, network.state(), optimizer.steps, optimizer.memory, generator)


def _restore(snapshot: Snapshot, network: Network, optimizer: Optimizer, rng: np.random.Generator) -> None:
    network.restore(snapshot.network)
    optimizer.steps = snapshot.optimizer_steps
    for memory, saved in zip(optimizer.memory, snapshot.optimizer_memory, strict=True):
        memory[:] = saved
    rng.bit_generator.state = snapshot.generator
