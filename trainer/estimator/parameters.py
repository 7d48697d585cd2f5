"""The parameters of the classifier: those of `evenkeel fit`, with its defaults, and what scikit-learn adds."""

from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator

from trainer.errors import InvalidSetting
from trainer.settings.config import TrainingConfig
from trainer.settings.spelling import check_kinds, in_python, plain
from trainer.training.records import Epoch

# The one table of defaults.
OF: dict[str, Any] = {name: field.default for name, field in TrainingConfig.model_fields.items()}
# What is no setting of `fit`, or has more values here than there.
OWN = ("class_weight", "validation_fraction", "callbacks", "random_state", "early_stopping", "scaling")
# What scikit-learn's own network calls the same; `max_iter` is not there, for one of its checks asks of whoever has it
# for so many epochs that a class of next to no weight is learned by heart.
ALIASES = {
    "hidden_layer_sizes": "hidden",
    "learning_rate_init": "learning_rate",
    "n_iter_no_change": "patience",
}


class Parameters(BaseEstimator):
    """What is set before a fit."""

    def __init__(
        self,
        hidden: Sequence[int] = OF["hidden"],
        *,
        activation: str = OF["activation"],
        batch_norm: str = OF["batch_norm"],
        dropout: float = OF["dropout"],
        input_dropout: float = OF["input_dropout"],
        periodic: float = OF["periodic"],
        optimizer: str = OF["optimizer"],
        learning_rate: float = OF["learning_rate"],
        beta1: float | None = OF["beta1"],
        beta2: float | None = OF["beta2"],
        weight_decay: float = OF["weight_decay"],
        schedule: str = OF["schedule"],
        warm_up: float = OF["warm_up"],
        batch_size: int | None = OF["batch_size"],
        epochs: int = OF["epochs"],
        patience: int = OF["patience"],
        label_smoothing: float = OF["label_smoothing"],
        clip_norm: float | None = OF["clip_norm"],
        class_weight: Mapping[Any, float] | str | None = OF["class_weight"],
        statistics: str = OF["statistics"],
        ewma_decay: float = OF["ewma_decay"],
        epsilon: float = OF["epsilon"],
        compiled: bool = OF["compiled"],
        scaling: str | None = OF["scaling"],
        atoms: bool = OF["atoms"],
        one_hot: int = OF["one_hot"],
        selection: bool = OF["selection"],
        members: int | None = OF["members"],
        distil: bool = OF["distil"],
        student: Sequence[int] | None = OF["student"],
        coverage: float | None = OF["coverage"],
        coverage_rows: float = OF["coverage_rows"],
        teacher: str = OF["teacher"],
        validation_fraction: float = OF["validation"],
        callbacks: Sequence[Callable[[Epoch], None]] = (),
        random_state: int | np.random.RandomState | None = None,
        hidden_layer_sizes: Sequence[int] | None = None,
        learning_rate_init: float | None = None,
        n_iter_no_change: int | None = None,
        early_stopping: bool | None = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.periodic = periodic
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warm_up = warm_up
        self.batch_size = batch_size
        self.epochs = epochs
        self.patience = patience
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm
        self.class_weight = class_weight
        self.statistics = statistics
        self.ewma_decay = ewma_decay
        self.epsilon = epsilon
        self.compiled = compiled
        self.scaling = scaling
        self.atoms = atoms
        self.one_hot = one_hot
        self.selection = selection
        self.members = members
        self.distil = distil
        self.student = student
        self.coverage = coverage
        self.coverage_rows = coverage_rows
        self.teacher = teacher
        self.validation_fraction = validation_fraction
        self.callbacks = callbacks
        self.random_state = random_state
        self.hidden_layer_sizes = hidden_layer_sizes
        self.learning_rate_init = learning_rate_init
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping

    def set_params(self, **params: Any) -> Self:
        """Set parameters; one that has two names goes by the one that was set last, as a search sets them."""
        defaults = signature(type(self)).parameters
        for pair in ALIASES.items():
            for said, other in (pair, pair[::-1]):
                if params.get(said) is not None and other not in params:
                    params[other] = defaults[other].default
        return super().set_params(**params)  # type: ignore[no-any-return]

    def _config(self, seed: int = 0) -> TrainingConfig:
        """The parameters as the settings of a job.

        :raises InvalidSetting: one is outside its range, or set by two names.
        """
        parameters = {name: plain(value) for name, value in self.get_params(deep=False).items() if name not in OWN}
        defaults = signature(type(self)).parameters
        for alias, name in ALIASES.items():
            if (value := parameters.pop(alias)) is None:
                continue
            if parameters[name] != defaults[name].default:
                raise InvalidSetting(f"{name} and {alias} are two names of one parameter; leave one of them out")
            parameters[name] = value
        check_kinds(parameters)
        if isinstance(self.class_weight, str):
            parameters["class_weight"] = self.class_weight
        if self.scaling is not None:
            parameters["scaling"] = self.scaling
        try:
            return TrainingConfig.of(**parameters, seed=seed, table=Path("X"), target="y", name="estimator")
        except InvalidSetting as error:
            raise InvalidSetting(in_python(str(error))) from None

    def _held_out_share(self) -> float:
        """The share of the rows that chooses the epoch.

        :raises InvalidSetting: it is no share.
        """
        share = plain(self.validation_fraction)
        if not isinstance(share, int | float) or not 0 <= share < 1:
            raise InvalidSetting(f"validation_fraction should be 0 or more and less than 1, not {str(share)[:64]!r}")
        if self.early_stopping is not None:
            share = (share or OF["validation"]) if self.early_stopping else 0.0
        return float(share)

    def _watch(self, epoch: Epoch) -> None:
        for callback in self.callbacks:
            callback(epoch)
