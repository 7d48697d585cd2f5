"""A study: what a search was founded with, and its finished trials. With `database`, the only modules that know Optuna.

A trial is written once, whole, when it is over, so that none is half there; what is under way is a claim and no record.
The journal or the database is an ordinary study of Optuna's, and opens in optuna-dashboard.
"""

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from trainer.errors import DamagedStudy, UnknownStudy
from trainer.search.claims import WholeLines
from trainer.search.plan import FEWEST_TO_WEIGH, Trial, Trials
from trainer.search.space import Choice, Range, Space, Value, Values, meaningful

PREFIX = "1-"  # Of the parameters that Optuna knows by their distance from 1.

# Does something, again and again if need be, and gives what comes of it.
Patiently = Callable[[Callable[[], Any]], Any]


def at_once(action: Callable[[], Any]) -> Any:
    """Do something once: a file is never away."""
    return action()


class Study:
    """The records of one search, for one process."""

    def __init__(
        self, storage: BaseStorage, name: str, box: Space, *, create: bool, patiently: Patiently = at_once
    ) -> None:
        """`patiently` does something with the storage, where that may be away for a while."""
        try:
            self._optuna = optuna.load_study(storage=storage, study_name=name)
        except KeyError:
            if not create:
                raise UnknownStudy(f"there is no study '{name}' to go back to") from None
            self._optuna = optuna.create_study(storage=storage, study_name=name)
        self._storage, self._box, self._patiently = storage, box, patiently
        self._trials: dict[int, Trial] = {}
        self._read = 0

    def close(self) -> None:
        """Let go of the storage's connections, if it has some."""
        self._storage.remove_session()

    @property
    def facts(self) -> dict[str, Any]:
        """What the study was founded with; empty before that."""
        facts: dict[str, Any] = self._optuna.user_attrs.get("facts", {})
        return facts

    def found(self, facts: Mapping[str, Any]) -> None:
        """Write down what the study is about."""
        self._optuna.set_user_attr("facts", dict(facts))

    @property
    def published(self) -> dict[str, int]:
        """The version that was published, and after how many trials; empty before that."""
        published: dict[str, int] = self._optuna.user_attrs.get("published", {})
        return published

    def note_published(self, version: int, trials: int) -> None:
        self._optuna.set_user_attr("published", {"version": version, "trials": trials})

    def trials(self) -> Trials:
        """The finished trials by their index, in order; of two records of one index the first counts."""
        records = self._patiently(lambda: self._optuna.get_trials(deepcopy=False))
        for record in records[self._read :]:
            trial = _trial(record)
            self._trials.setdefault(trial.index, trial)
        self._read = len(records)
        return dict(sorted(self._trials.items()))

    def add(self, trial: Trial) -> None:
        """Write a finished trial down; it is there whole or not at all."""

        def add() -> None:
            # A server may have taken it and been gone before it could say so.
            if trial.index not in self.trials():
                self._optuna.add_trial(_record(trial, self._box))

        self._patiently(add)


def open_journal(path: Path, name: str, box: Space, *, create: bool) -> Study:
    """The study in a journal file.

    :raises UnknownStudy: there is none, and none was to be made.
    :raises DamagedStudy: the file is no journal.
    """
    quiet()
    try:
        return Study(
            JournalStorage(JournalFileBackend(str(path), cast(Any, WholeLines(path)))), name, box, create=create
        )
    except (ValueError, KeyError, AssertionError):
        raise DamagedStudy(f"{path} is damaged; remove it to search from the first trial") from None


def suggest(box: Space, trials: Trials, seed: int, index: int) -> Values:
    """What Optuna's tree-structured Parzen estimator would try next (Bergstra et al. 2011)."""
    sampler = TPESampler(seed=(seed + index) % (1 << 32), multivariate=False)
    memory = _in_memory(box, trials, sampler)
    asked = memory.ask({_name(name, axis): _distribution(axis) for name, axis in box.items()})
    return meaningful({name: _value(name, axis, asked.params) for name, axis in box.items()})


def importances(box: Space, trials: Trials) -> dict[str, float]:
    """How much each parameter matters for being among the best tenth (Watanabe et al. 2023), the most first.

    Empty for fewer than forty trials, a tenth of which says nothing.
    """
    if len(trials) < FEWEST_TO_WEIGH:
        return {}
    # It loads scikit-learn where there is one: seconds, which no worker should wait.
    from optuna.importance import get_param_importances

    quiet()
    memory = _in_memory(box, trials, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shares = get_param_importances(memory) if len(memory.trials) > 1 else {}
    return {name.removeprefix(PREFIX): float(share) for name, share in shares.items()}


def _in_memory(box: Space, trials: Trials, sampler: TPESampler | None) -> optuna.Study:
    """The trials that came to a result, each as if it had run to its end."""
    memory = optuna.create_study(sampler=sampler)
    memory.add_trials(
        [_record(trial, box, complete=True) for trial in trials.values() if math.isfinite(trial.log_loss)]
    )
    return memory


def quiet() -> None:
    """Let Optuna say nothing but warnings."""
    optuna.logging.set_verbosity(logging.WARNING)


def _record(trial: Trial, box: Space, *, complete: bool = False) -> FrozenTrial:
    state = {"stopped": TrialState.PRUNED, "diverged": TrialState.FAIL}.get(trial.ending, TrialState.COMPLETE)
    return create_trial(
        state=TrialState.COMPLETE if complete else state,
        value=trial.log_loss if math.isfinite(trial.log_loss) else None,
        params={_name(name, box[name]): _internal(value, box[name]) for name, value in trial.values.items()},
        distributions={_name(name, box[name]): _distribution(box[name]) for name in trial.values},
        user_attrs={
            "index": trial.index,
            "ending": trial.ending,
            "log_losses": trial.log_losses,
            "accuracies": trial.accuracies,
            "log_loss": trial.log_loss if math.isfinite(trial.log_loss) else None,
            "seconds": trial.seconds,
            "worker": trial.worker,
            "values": trial.values,
        },
    )


def _trial(record: FrozenTrial) -> Trial:
    attributes = record.user_attrs
    return Trial(
        attributes["index"],
        attributes["values"],
        attributes["ending"],
        tuple(attributes["log_losses"]),
        tuple(attributes["accuracies"]),
        math.inf if attributes["log_loss"] is None else attributes["log_loss"],
        attributes["seconds"],
        attributes["worker"],
    )


def _is_distance(axis: Range | Choice) -> bool:
    return isinstance(axis, Range) and axis.scale == "one_minus_log"


def _name(name: str, axis: Range | Choice) -> str:
    return PREFIX + name if _is_distance(axis) else name


def _ends(axis: Range) -> tuple[float, float]:
    return (_distance(axis.high), _distance(axis.low)) if _is_distance(axis) else (axis.low, axis.high)


def _distance(value: float) -> float:
    return round(1 - value, 12)


def _internal(value: Value, axis: Range | Choice) -> Value:
    return _distance(float(value)) if _is_distance(axis) else value


def _value(name: str, axis: Range | Choice, params: Mapping[str, Any]) -> Value:
    value = params[_name(name, axis)]
    if isinstance(axis, Choice) or axis.whole:
        chosen: Value = value
        return chosen
    return round(1 - value, 12) if _is_distance(axis) else float(f"{value:.3g}")


def _distribution(axis: Range | Choice) -> BaseDistribution:
    if isinstance(axis, Choice):
        return CategoricalDistribution(axis.options)
    if axis.whole:
        return IntDistribution(int(axis.low), int(axis.high), log=axis.scale == "log")
    low, high = _ends(axis)
    return FloatDistribution(low, high, log=axis.scale != "uniform")
