"""The network as a scikit-learn classifier. The only module that knows scikit-learn."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from trainer.arrays import Array
from trainer.data.encoder import fit_encoder
from trainer.data.rows import Column, Rows
from trainer.errors import InvalidSetting
from trainer.framed import check_frame, is_table, read_alike, read_new
from trainer.hyperparameters import Hyperparameters
from trainer.nn.architecture import build_network
from trainer.spelling import in_python, plain
from trainer.threads import one_thread
from trainer.training.fit import (
    batches_of,
    build_optimizer,
    check_finite,
    fit,
    freeze_for_validation,
    step_of,
    train_one_epoch,
)
from trainer.training.freezing import disagreement, freeze, log_loss_on
from trainer.training.records import Encoded, Epoch
from trainer.training.weighting import as_counts, class_shares, weigh

Validation = tuple[Any, Any] | tuple[Any, Any, Any]
# Rows that are numbers or, of a frame, still raw; targets and weights.
Checked = tuple[Array | Rows, npt.NDArray[Any], Array | None]
OWN = ("class_weight", "validation_fraction", "callbacks", "random_state", "early_stopping")
# What scikit-learn's own network calls the same; `max_iter` is not there, for one of its checks asks of whoever has it
# for so many epochs that a class of next to no weight is learned by heart.
ALIASES = {
    "hidden_layer_sizes": "hidden",
    "learning_rate_init": "learning_rate",
    "n_iter_no_change": "patience",
}
# The share of the rows that stops training where `early_stopping` says no more than that.
SHARE = 0.1


class BatchNormMLPClassifier(ClassifierMixin, BaseEstimator):
    """A multi-layer perceptron with batch normalisation, trained in numpy (Ioffe & Szegedy 2015).

    Numbers in, classes out: put a scaler before it for columns of unlike size. A frame of pandas, polars or pyarrow
    with a text, category, boolean, date or missing cell is read, scaled and encoded as `evenkeel fit` does it. The
    parameters and their ranges are those of `evenkeel fit`, but for these:

    :param class_weight: None, "balanced", or a mapping from class to weight.
    :param validation_fraction: the share of the rows, drawn class by class, that chooses the epoch and stops the
        training after `patience` epochs without a lower log-loss. With 0 and no `validation` handed to `fit`, every
        epoch is run and the last one kept.
    :param callbacks: called with each `Epoch` as it ends; a `StopTraining` raised in one ends the fit.
    :param random_state: a seed, a RandomState, or None for another result every time.
    :param hidden_layer_sizes: another name for `hidden`, as `learning_rate_init` is for `learning_rate`, and
        `n_iter_no_change` for `patience`.
    :param early_stopping: True for a tenth of the rows, where `validation_fraction` does not say how many; False for 0.

    Fitted, it has `classes_`, `n_features_in_`, `feature_names_in_` (of a frame), `n_iter_` (epochs), `loss_curve_`
    (the mean loss of each), `history_` (every epoch, and the best one), `network_`, `encoder_` (of a frame that was
    read, else None), and `frozen_` (running and population statistics, and which of them are used; after `fit` only).
    """

    # What encodes the columns of a frame that was read; None where the rows are numbers.
    encoder_: Any = None
    columns_: tuple[Column, ...]

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        *,
        activation: str = "relu",
        batch_norm: str = "before",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        periodic: float = 0.0,
        optimizer: str = "adam",
        learning_rate: float = 1e-3,
        beta1: float | None = None,
        beta2: float | None = None,
        weight_decay: float = 0.0,
        schedule: str = "constant",
        warm_up: float = 0.0,
        batch_size: int = 256,
        epochs: int = 100,
        patience: int = 20,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        statistics: str = "running",
        ewma_decay: float = 0.9,
        epsilon: float = 1e-5,
        compiled: bool = True,
        validation_fraction: float = 0.0,
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
        self.validation_fraction = validation_fraction
        self.callbacks = callbacks
        self.random_state = random_state
        self.hidden_layer_sizes = hidden_layer_sizes
        self.learning_rate_init = learning_rate_init
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping

    def fit(
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        *,
        validation: Validation | None = None,
    ) -> Self:
        """Train on X (n, features) and y (n,), from the start.

        :param sample_weight: (n,), how many times each row counts, in the loss and in the statistics.
        :param validation: rows and classes, and their weights if need be, that choose the epoch.
        :raises ValueError: a parameter is outside its range, or the rows cannot be trained on.
        :raises Diverged: the loss stopped being finite.
        """
        settings = self._settings()
        inputs, y, weights = self._rows(X, y, sample_weight, new=True)
        self.classes_ = np.unique(y)
        self.encoder_ = None
        if len(self.classes_) < 2:
            raise InvalidSetting(f"y holds one class only ({self.classes_[0]}); a classifier needs two or more")
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        share = self.validation_fraction
        if self.early_stopping is not None:
            share = (share or SHARE) if self.early_stopping else 0.0
        kept = held = np.arange(len(y))
        if share and not validation:
            kept, held = train_test_split(kept, test_size=share, stratify=y, random_state=seed)
        if isinstance(inputs, Rows):
            self.columns_, self.encoder_ = inputs.columns, fit_encoder(inputs.take(kept))
        train, held_out = self._encoded(inputs, y, weights), None
        if validation:
            held_out = self._encoded(*self._rows(*_triple(validation), new=False))
        elif share:
            train, held_out = train.take(kept), train.take(held)
        held_out = held_out and self._weighted(held_out, train)
        train = self._weighted(train, train)
        self._rng = self._build(settings, train, seed)
        with one_thread():
            self.history_ = fit(self.network_, train, held_out, settings, self._rng, watch=self._watch)
            self.frozen_ = freeze(
                self.network_,
                train,
                log_loss_on(self.network_, held_out or train),
                statistics=settings.statistics,
                batch_size=settings.batch_of(len(train)),
            )
        self.n_iter_ = len(self.history_.epochs)
        self.loss_curve_ = [epoch.loss for epoch in self.history_.epochs]
        if held_out and (sentence := disagreement([self.frozen_])):
            warnings.warn(in_python(sentence), stacklevel=2)
        return self

    def partial_fit(
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Train one epoch on X (n, features) and y (n,), from where the training stands.

        The learning rate is constant; what is frozen afterwards is what `statistics` says, the population being these
        rows.

        :param classes: every class there will be; needed in the first call.
        :raises ValueError: a parameter is outside its range, or the rows cannot be trained on.
        """
        settings = self._settings()
        first = _check_partial_fit_first_call(self, classes)
        if first and is_table(X):
            raise InvalidSetting(
                "partial_fit begins with numbers alone; fit first learns from all rows what the columns of a frame hold"
            )
        train = self._encoded(*self._rows(X, y, sample_weight, new=first))
        train = self._weighted(train, train)
        if len(train) == 1 and self.batch_norm != "none" and settings.hidden:
            raise InvalidSetting("one row has no variance to normalise with; partial_fit needs two or more")
        if first:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self._rng = self._build(settings, train, seed)
            self.n_iter_, self.loss_curve_ = 0, []
        step = step_of(self.network_, self._optimizer, settings)
        batches = batches_of(train, settings, self.network_)
        self.n_iter_ += 1
        with one_thread():
            mean_loss = train_one_epoch(step, batches, lambda _: settings.learning_rate, self._rng)
            freeze_for_validation(self.network_, train, settings)
        check_finite(Epoch(self.n_iter_, mean_loss, None))
        self.loss_curve_.append(mean_loss)
        return self

    def predict_proba(self, X: npt.ArrayLike) -> Array:  # noqa: N803
        """Probabilities (n, classes), in the order of `classes_`, with the frozen statistics."""
        check_is_fitted(self)
        if self.encoder_ is None:
            inputs = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        else:
            inputs = self.encoder_.encode(self._read(X))
        with one_thread():
            return self.network_.predict(inputs.astype(self.network_.values.dtype, copy=False))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable class of each row, shape (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def to_onnx(self) -> Any:
        """An `onnx.ModelProto`: input `X` float32 [N, features], outputs `label` and `probabilities` [N, classes].

        Of a frame that was read, the inputs are those of a published model, `numeric` and `categorical`, and the label
        is a text.
        """
        from trainer.export.pipeline import estimator_to_onnx

        check_is_fitted(self)
        return estimator_to_onnx(self)

    def onnx_converter(self) -> Callable[..., None]:
        """How skl2onnx writes this classifier. It asks every estimator, so pipelines export with no registration."""
        from trainer.export.pipeline import write_estimator

        return write_estimator

    def onnx_shape_calculator(self) -> Callable[..., None]:
        """How skl2onnx finds the shapes of the two outputs."""
        from trainer.export.pipeline import output_shapes

        return output_shapes

    def _settings(self) -> Hyperparameters:
        parameters = {name: plain(value) for name, value in self.get_params(deep=False).items() if name not in OWN}
        defaults = signature(type(self)).parameters
        for alias, name in ALIASES.items():
            if (value := parameters.pop(alias)) is None:
                continue
            if parameters[name] != defaults[name].default:
                raise InvalidSetting(f"{name} and {alias} are two names of one parameter; leave one of them out")
            parameters[name] = value
        try:
            return Hyperparameters.of(**parameters)
        except InvalidSetting as error:
            raise InvalidSetting(in_python(str(error))) from None

    def _rows(self, X: Any, y: Any, sample_weight: Any, *, new: bool) -> Checked:  # noqa: N803
        """Checked rows, targets and weights, without the rows that count for nothing."""
        inputs: Array | Rows
        if is_table(X) if new else self.encoder_ is not None:
            inputs = read_new(X) if new else self._read(X)
            validate_data(self, X, skip_check_array=True, reset=new)
            y = _check_y(y, estimator=self)
            check_consistent_length(inputs, y)
        else:
            inputs, y = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=new)
        check_classification_targets(y)
        if sample_weight is None:
            return inputs, y, None
        dtype = np.float32 if isinstance(inputs, Rows) else inputs.dtype
        weights = _check_sample_weight(sample_weight, y, dtype=dtype, ensure_non_negative=True)
        count = np.flatnonzero(weights > 0)
        if not len(count):
            raise InvalidSetting("every sample weight is 0; at least one row must count")
        return inputs.take(count) if isinstance(inputs, Rows) else inputs[count], y[count], weights[count]

    def _read(self, X: Any) -> Rows:  # noqa: N803
        """The rows of a frame like the one that the classifier was fitted on."""
        check_frame(X)
        validate_data(self, X, skip_check_array=True, reset=False)
        return read_alike(X, self.columns_, self.encoder_)

    def _encoded(self, inputs: Array | Rows, y: npt.NDArray[Any], weights: Array | None) -> Encoded:
        """The rows as the network sees them, with their classes as numbers."""
        encoded: Array = self.encoder_.encode(inputs) if isinstance(inputs, Rows) else inputs
        labels = np.minimum(np.searchsorted(self.classes_, y), len(self.classes_) - 1)
        unknown = y[self.classes_[labels] != y]
        if len(unknown):
            known = ", ".join(map(str, self.classes_))
            raise InvalidSetting(f"y holds the class {unknown[0]}, which is not among {known}")
        return Encoded(encoded, labels, None if weights is None else as_counts(weights))

    def _weighted(self, part: Encoded, train: Encoded) -> Encoded:
        """The part with the class weights that the training rows ask for."""
        if self.class_weight is None:
            return part
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            return weigh(part, train, len(self.classes_))
        factors = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_)[part.labels]
        own = 1.0 if part.weights is None else part.weights
        return replace(part, weights=(factors * own).astype(part.inputs.dtype))

    def _build(self, settings: Hyperparameters, train: Encoded, seed: int) -> np.random.Generator:
        """Make the network with its first weights, and return what draws the rest."""
        rng = np.random.default_rng(seed)
        classes = len(self.classes_)
        features = train.inputs.shape[1]
        if (encoder := self.encoder_) is None:
            self.architecture_ = settings.architecture(features, classes, varied=tuple(range(features)))
        else:
            self.architecture_ = settings.architecture(
                features, classes, coded=len(encoder.coded), codes=encoder.codes, varied=encoder.varied
            )
        # Rows that come in pieces may not show every class at once.
        shares = class_shares(train, classes) if len(np.unique(train.labels)) == classes else None
        self.network_ = build_network(self.architecture_, rng, class_shares=shares, dtype=train.inputs.dtype)
        self._optimizer = build_optimizer(self.network_, settings)
        return rng

    def _watch(self, epoch: Epoch) -> None:
        for callback in self.callbacks:
            callback(epoch)

    def __getstate__(self) -> dict[str, Any]:
        # A network's arrays are views of one vector, which pickle would tear apart.
        state = dict(super().__getstate__())
        if "network_" in state:
            moments = [layer.frozen for layer in self.network_.batch_norms]
            state["network_"] = (self.network_.values.dtype, self.network_.state(), moments)
            state["_optimizer"] = (self._optimizer.steps, self._optimizer.memory)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" not in state:
            return
        dtype, network, moments = state["network_"]
        # The first weights are drawn in vain; what the generator would have drawn next must not change.
        generator = self._rng.bit_generator.state
        self.network_ = build_network(self.architecture_, self._rng, dtype=dtype)
        self._rng.bit_generator.state = generator
        self.network_.restore(network)
        for layer, frozen in zip(self.network_.batch_norms, moments, strict=True):
            layer.frozen = frozen
        self._optimizer = build_optimizer(self.network_, self._settings())
        self._optimizer.steps, memories = state["_optimizer"]
        for memory, saved in zip(self._optimizer.memory, memories, strict=True):
            memory[:] = saved


def _triple(validation: Validation) -> tuple[Any, Any, Any]:
    inputs, y, *weights = validation
    return inputs, y, weights[0] if weights else None
