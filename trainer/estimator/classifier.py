"""The classifier itself: what scikit-learn calls."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import check_is_fitted, validate_data

from trainer.arrays import Array
from trainer.data.rows import Rows
from trainer.errors import InvalidSetting
from trainer.estimator.checked import Validation, checked, columns_of, read
from trainer.estimator.framed import is_table
from trainer.estimator.sets import Sets
from trainer.export.sets import members_of
from trainer.nn.calibrator import Calibrator
from trainer.threads import one_thread
from trainer.training.fit import (
    batches_of,
    build_optimizer,
    check_finite,
    freeze_for_validation,
    step_of,
    train_one_epoch,
)
from trainer.training.records import Epoch


class BatchNormMLPClassifier(ClassifierMixin, Sets):
    """A multi-layer perceptron with batch normalisation (Ioffe & Szegedy 2015), trained as `evenkeel fit` does.

    Rows are a matrix of numbers, or a frame of pandas, polars or pyarrow, which may have text, category, boolean, date
    and missing cells. They are scaled and encoded, a bag of networks is trained and calibrated, and one network learns
    from the bag and answers. Parameters, ranges and defaults are those of `evenkeel fit`, but for these:

    :param members: networks in the bag; by default 5, fewer on large tables. With `members=1` one network is trained,
        in about a tenth of the time: enough for cross-validation and searches.
    :param selection: False keeps the defaults, where else networks are trained with other encodings too, and the best
        is taken: a network alone then takes a fraction of the time.
    :param scaling: also None, which leaves numbers as they are, for a scaler of one's own before the classifier;
        nothing is selected then. With `members=1` the network has the precision of the numbers, 64 bits too.
    :param class_weight: also a mapping from class to weight; None is "none".
    :param validation_fraction: the share of the rows, drawn class by class, that chooses the epoch of a network, stops
        its training after `patience` epochs without a lower log-loss, and calibrates it. With 0 and no `validation`
        handed to `fit`, one network is trained on the defaults, every epoch is run and the last one kept.
    :param coverage: the share of the rows whose class is to be in their prediction set, which `predict_set` then tells;
        its threshold is chosen on the share `coverage_rows` of the rows, from which nothing else is learned.
    :param callbacks: called with each `Epoch` of each network as it ends, those that are only tried among them; a
        `StopTraining` raised in one ends the training of that network.
    :param random_state: a seed, a RandomState, or None for another result every time.
    :param hidden_layer_sizes: another name for `hidden`, as `learning_rate_init` is for `learning_rate`, and
        `n_iter_no_change` for `patience`.
    :param early_stopping: False for a `validation_fraction` of 0; True for the default share where that is 0.

    Fitted, it has `classes_`, `n_features_in_`, `feature_names_in_` (of a frame), `networks_` (several where
    `distil=False` publishes the bag), `encoder_` (None where nothing is encoded), `calibrator_` and `sets_` (what the
    prediction sets promise, None without a `coverage`); and of the network that answers, or of the first of them,
    `network_`, `n_iter_` (epochs), `loss_curve_` (the mean loss of each), `history_` (every epoch, and the best one)
    and `frozen_` (running and population statistics, and which of them are used; after `fit` only).
    """

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
        config, share = self._config(), self._held_out_share()
        reads_frames = is_table(X)
        inputs, y, weights = checked(self, X, y, sample_weight, new=True)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise InvalidSetting(f"y holds one class only ({self.classes_[0]}); a classifier needs two or more")
        self.encoder_, self.reads_frames_ = None, reads_frames
        self._name_to_skl2onnx()
        self.columns_ = inputs.columns if isinstance(inputs, Rows) else columns_of(self)
        config = config.model_copy(update={"seed": int(check_random_state(self.random_state).randint(2**31 - 1))})
        alone = not share and validation is None
        if alone and (config.members or 1) > 1:
            raise InvalidSetting(
                f"members={config.members} need rows that choose their epochs; validation_fraction must be above 0, "
                "or fit be given validation=(X, y)"
            )
        rows, kept = self._set_aside(config, (inputs, y, weights))
        with one_thread():
            if alone or (config.members == 1 and self.scaling is None):
                self._fit_one(config, rows, share, validation)
            else:
                self._fit_bag(config, rows, share, validation)
            self._choose_sets(config, kept)
        self.n_iter_ = len(self.history_.epochs)
        self.loss_curve_ = [epoch.loss for epoch in self.history_.epochs]
        return self

    def partial_fit(
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: npt.ArrayLike,
        classes: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Train one network for one epoch on X (n, features) and y (n,), from where the training stands.

        It is one network whatever `members` says: a new one, whose numbers stay what they are, or the one that answers
        after `fit`. The learning rate is constant; what is frozen afterwards is what `statistics` says, the population
        being these rows; nothing is calibrated any more.

        :param classes: every class there will be; needed in the first call.
        :raises ValueError: a parameter is outside its range, the rows cannot be trained on, or a bag answers.
        """
        settings = self._config()
        first = _check_partial_fit_first_call(self, classes)
        if first and is_table(X):
            raise InvalidSetting(
                "partial_fit begins with numbers alone; fit first learns from all rows what the columns of a frame hold"
            )
        if not first and len(self.networks_) > 1:
            raise InvalidSetting(
                f"partial_fit trains one network, and {len(self.networks_)} answer together; members=1 or distil=True "
                "leaves one"
            )
        train = self._encoded(*checked(self, X, y, sample_weight, new=first))
        train = self._weighted(train, train)
        if len(train) == 1 and self.batch_norm != "none" and settings.hidden:
            raise InvalidSetting("one row has no variance to normalise with; partial_fit needs two or more")
        if first:
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            self._build(settings.model_copy(update={"seed": seed}), train)
            self.columns_ = columns_of(self)
            self.n_iter_, self.loss_curve_ = 0, []
            self._name_to_skl2onnx()
        if self._optimizer is None:
            self._optimizer = build_optimizer(self.network_, settings)
        self.calibrator_, self.sets_ = Calibrator.idle(len(self.classes_)), None
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
        inputs: Array | Rows
        if self.reads_frames_:
            inputs = read(self, X)
        else:
            inputs = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        with one_thread():
            return self._probabilities(inputs)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:  # noqa: N803
        """The most probable class of each row, shape (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def predict_set(self, X: npt.ArrayLike) -> npt.NDArray[np.bool_]:  # noqa: N803
        """Which classes belong to the prediction set of each row, (n, classes), in the order of `classes_`.

        The share `coverage` of the sets hold the true class, as long as rows come from where those of the fit came.

        :raises ValueError: it was fitted without a `coverage`.
        """
        probabilities = self.predict_proba(X)
        if self.sets_ is None:
            raise InvalidSetting("the classifier has no prediction sets; set coverage=0.9, or another share, and fit")
        return members_of(probabilities, self.sets_)

    def to_onnx(self) -> Any:
        """An `onnx.ModelProto`: input `X` float32 [N, features], outputs `label` and `probabilities` [N, classes], and
        of one with sets `set` bool [N, classes].

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
