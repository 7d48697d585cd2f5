"""One worker: claim a trial, train it, write it down, until nothing is left."""

import math
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from trainer.errors import Diverged, TrainerError
from trainer.search import space
from trainer.search.claims import FIRST_TRIAL, Claims
from trainer.search.place import Place
from trainer.search.plan import Ending, Plan, Trial, Trials
from trainer.search.rows import SharedRows
from trainer.search.search import Search
from trainer.search.space import Values
from trainer.search.study import Study, suggest
from trainer.search.trial import cost, train
from trainer.settings.config import TrainingConfig
from trainer.training.records import Epoch, StopTraining

PAUSE_S = 0.05


@dataclass(frozen=True)
class Order:
    """Everything that a worker has to know; it goes to another process."""

    place: Place
    plan: Plan
    given: Mapping[str, Any]
    trials: int
    rows: SharedRows

    @classmethod
    def of(cls, search: Search, rows: SharedRows) -> "Order":
        """The order for a search."""
        return cls(search.request.place, search.plan, search.request.given, search.trials, rows)

    def config(self, values: Values) -> TrainingConfig:
        """The settings of a trial: what was given, and what was drawn."""
        return TrainingConfig.of(**{**self.given, **space.settings(values)})


class Orphaned(Exception):
    """Whoever started this worker is gone."""


def work(order: Order, failures: Connection) -> None:
    """The whole life of a worker process; what stops it is sent to who started it."""
    # Ctrl-C reaches the whole group; whoever started the workers ends them, and nothing of theirs is half written.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run_trials(order)
    except Orphaned:
        return
    except (TrainerError, OSError) as error:
        failures.send(error)
        raise SystemExit(1) from None


def run_trials(order: Order) -> None:
    """Train every trial that is neither finished nor claimed by somebody else, until all are finished.

    :raises TrainerError: the study cannot be had.
    :raises OSError: the study cannot be written.
    """
    costs: dict[int, float] = {}
    with closing(order.place.open_study(order.plan.box)) as study, closing(order.place.open_claims()) as claims:
        while len(trials := _of_this_order(study.trials(), order)) < order.trials:
            if not _run_next(order, study, claims, trials, costs):
                _check_parent()
                time.sleep(PAUSE_S)


def _of_this_order(trials: Trials, order: Order) -> Trials:
    return {index: trial for index, trial in trials.items() if index < order.trials}


def _run_next(order: Order, study: Study, claims: Claims, trials: Trials, costs: dict[int, float]) -> bool:
    """Claim a trial and run it; False where every trial that may begin is somebody else's."""
    for index in _in_order_of_cost(order, trials, costs):
        with _claimed(claims, index) as mine:
            if not mine:
                continue
            known = study.trials()
            if index in known:  # Finished between the look and the claim.
                continue
            trial = run_trial(order, index, known)
            _write_down(trial, study, claims)
            return True
    return False


def _write_down(trial: Trial, study: Study, claims: Claims) -> None:
    """Record a trial, unless the claim was lost meanwhile and somebody else has it."""
    place = FIRST_TRIAL + trial.index
    if (claims.still_has(place) or claims.take(place)) and trial.index not in study.trials():
        study.add(trial)


@contextmanager
def _claimed(claims: Claims, index: int) -> Iterator[bool]:
    place = FIRST_TRIAL + index
    mine = claims.take(place)
    try:
        yield mine
    finally:
        if mine:
            claims.release(place)


def _in_order_of_cost(order: Order, trials: Trials, costs: dict[int, float]) -> list[int]:
    """The trials that may begin, the longest first, so that all workers are done with a stage at about one time."""
    plan = order.plan
    waiting = plan.open_trials(trials, order.trials)
    if plan.sampler != "random":
        return waiting
    for index in waiting:
        if index not in costs:
            config = order.config(plan.values_of(index, trials))
            rows = order.rows.rows(config)
            costs[index] = cost(config, rows.encoder.width, len(rows.train))
    # Trial 0 is what `fit` would do, and the measure of all others.
    return sorted(waiting, key=lambda index: (index > 0, -costs[index]))


def run_trial(order: Order, index: int, trials: Trials) -> Trial:
    """Train trial `index`, given the trials that are finished."""
    plan = order.plan
    values = _values(order, index, trials)
    references = plan.references(index, trials)
    config = order.config(values)
    epochs: list[Epoch] = []
    ending: Ending = "epochs"
    log_loss = math.inf

    def watch(epoch: Epoch) -> None:
        nonlocal ending
        epochs.append(epoch)
        _check_parent()
        if epoch.number in plan.rungs and not plan.goes_on(_log_losses(epochs), references):
            ending = "stopped"
            raise StopTraining

    start = time.perf_counter()
    try:
        log_loss = train(config, order.rows.rows(config), watch).log_loss
        if ending == "epochs" and len(epochs) < config.epochs:
            ending = "patience"
    except Diverged:
        ending = "diverged"
    seconds = time.perf_counter() - start
    accuracies = tuple(epoch.validation.accuracy for epoch in epochs if epoch.validation)
    return Trial(
        index,
        values,
        ending,
        _log_losses(epochs),
        accuracies,
        log_loss,
        seconds,
        f"{socket.gethostname()}:{os.getpid()}",
    )


def _values(order: Order, index: int, trials: Trials) -> Values:
    if order.plan.sampler == "tpe" and trials:
        return suggest(order.plan.box, trials, order.plan.seed, index)
    return order.plan.values_of(index, trials)


def _log_losses(epochs: list[Epoch]) -> tuple[float, ...]:
    return tuple(epoch.validation.log_loss for epoch in epochs if epoch.validation)


def _check_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and not parent.is_alive():
        raise Orphaned
