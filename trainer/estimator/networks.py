"""The networks of the classifier: what they are given, how they are trained, and how they are copied."""

import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import train_test_split

from trainer.arrays import Array
from trainer.data.encoder import Encoder
from trainer.data.rows import Column, Examples, Rows
from trainer.estimator.bagged import encoder_for, train_bag_on
from trainer.estimator.checked import Checked, Validation, as_rows, checked, class_factors, labels_of, triple
from trainer.estimator.parameters import Parameters
from trainer.nn.architecture import build_network
from trainer.nn.calibrator import Calibrator
from trainer.nn.network import Network
from trainer.nn.optimizers import Optimizer
from trainer.settings.config import TrainingConfig
from trainer.settings.spelling import in_python
from trainer.training.calibration import calibrate
from trainer.training.fit import build_optimizer, fit
from trainer.training.freezing import Frozen, disagreement, freeze, log_loss_on
from trainer.training.records import Encoded, History
from trainer.training.weighting import as_counts, class_shares, weigh


class Networks(Parameters):
    """What a fit leaves behind."""

    # What encodes the rows; None where they are numbers and stay what they are.
    encoder_: Any = None
    # Whether it was fitted on a frame that is no matrix of numbers.
    reads_frames_ = False
    columns_: tuple[Column, ...]
    networks_: tuple[Network, ...]
    calibrator_: Calibrator
    history_: History
    frozen_: Frozen
    classes_: npt.NDArray[Any]
    _optimizer: Optimizer | None
    _rng: np.random.Generator

    @property
    def network_(self) -> Network:
        """The network that answers, or the first of those that do."""
        return self.networks_[0]

    def _fit_one(self, config: TrainingConfig, rows: Checked, share: float, validation: Validation | None) -> None:
        inputs, y, weights = rows
        kept = held = np.arange(len(y))
        if share and not validation:
            kept, held = train_test_split(kept, test_size=share, stratify=y, random_state=config.seed)
        if self.scaling is not None or isinstance(inputs, Rows):
            inputs = as_rows(inputs, self.columns_)
            self.encoder_ = encoder_for(config, inputs.take(kept), scaled=self.scaling is not None)
        train, held_out = self._encoded(inputs, y, weights), None
        if validation:
            held_out = self._encoded(*checked(self, *triple(validation), new=False))
        elif share:
            train, held_out = train.take(kept), train.take(held)
        held_out = held_out and self._weighted(held_out, train)
        train = self._weighted(train, train)
        network = self._build(config, train)
        self.history_ = fit(network, train, held_out, config, self._rng, watch=self._watch)
        loss, size = log_loss_on(network, held_out or train), config.batch_of(len(train))
        self.frozen_ = freeze(network, train, loss, statistics=config.statistics, batch_size=size)
        if held_out:
            self.calibrator_ = calibrate([(network, held_out)])
            if sentence := disagreement([self.frozen_]):
                warnings.warn(in_python(sentence), stacklevel=3)

    def _fit_bag(self, config: TrainingConfig, rows: Checked, share: float, validation: Validation | None) -> None:
        examples = self._examples(rows, weighted=validation is not None)

        def held_out(encoder: Encoder) -> Examples:
            assert validation is not None
            self.encoder_ = encoder
            return self._examples(checked(self, *triple(validation), new=False), weighted=True)

        self.encoder_, fitted = train_bag_on(
            config, examples, held_out if validation else None, share, self._watch, scaled=self.scaling is not None
        )
        first = fitted.networks[0]
        self.networks_, self.calibrator_ = fitted.classifier.networks, fitted.classifier.calibrator
        self.history_, self.frozen_ = first.history, first.frozen
        self._optimizer, self._rng = None, np.random.default_rng(config.seed)
        if sentence := disagreement([member.frozen for member in fitted.bag.members]):
            warnings.warn(in_python(sentence), stacklevel=3)

    def _inputs(self, inputs: Array | Rows) -> Array:
        """The rows as the network sees them."""
        if self.encoder_ is not None:
            encoded: Array = self.encoder_.encode(as_rows(inputs, self.columns_))
            return encoded
        assert not isinstance(inputs, Rows)
        return inputs

    def _encoded(self, inputs: Array | Rows, y: npt.NDArray[Any], weights: Array | None) -> Encoded:
        labels = labels_of(y, self.classes_)
        return Encoded(self._inputs(inputs), labels, None if weights is None else as_counts(weights))

    def _examples(self, rows: Checked, *, weighted: bool) -> Examples:
        """The rows as those of a job; a mapping of class weights is part of their weights."""
        inputs, y, weights = rows
        labels = labels_of(y, self.classes_)
        factors = class_factors(self.class_weight, self.classes_)
        if weighted or weights is not None or factors is not None:
            own = np.ones(len(y)) if weights is None else weights
            weights = (own * (1.0 if factors is None else factors[labels])).astype(np.float32)
        return Examples(as_rows(inputs, self.columns_), labels, tuple(map(str, self.classes_)), weights)

    def _weighted(self, part: Encoded, train: Encoded) -> Encoded:
        """The part with the class weights that the training rows ask for."""
        if self.class_weight == "balanced":
            return weigh(part, train, len(self.classes_))
        if (factors := class_factors(self.class_weight, self.classes_)) is None:
            return part
        own = 1.0 if part.weights is None else part.weights
        return replace(part, weights=(factors[part.labels] * own).astype(part.inputs.dtype))

    def _build(self, config: TrainingConfig, train: Encoded) -> Network:
        """Make the network with its first weights, and what draws the rest."""
        self._rng = np.random.default_rng(config.seed)
        classes, features = len(self.classes_), train.inputs.shape[1]
        if (encoder := self.encoder_) is None:
            architecture = config.architecture(features, classes, varied=tuple(range(features)))
        else:
            architecture = config.architecture(
                features, classes, coded=len(encoder.coded), codes=encoder.codes, varied=encoder.varied
            )
        # Rows that come in pieces may not show every class at once.
        shares = class_shares(train, classes) if len(np.unique(train.labels)) == classes else None
        network = build_network(architecture, self._rng, class_shares=shares, dtype=train.inputs.dtype)
        self.networks_, self.calibrator_ = (network,), Calibrator.idle(classes)
        self._optimizer = build_optimizer(network, config)
        return network

    def _name_to_skl2onnx(self) -> None:
        with suppress(ImportError):
            from trainer.export.pipeline import name_to_skl2onnx

            name_to_skl2onnx(type(self))

    def __getstate__(self) -> dict[str, Any]:
        # An optimizer holds on to the vectors of its network, which a copy has anew.
        state = dict(super().__getstate__())
        if optimizer := state.get("_optimizer"):
            state["_optimizer"] = (optimizer.steps, optimizer.memory)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "networks_" in state:
            self._name_to_skl2onnx()
        if saved := state.get("_optimizer"):
            optimizer = build_optimizer(self.network_, self._config())
            optimizer.steps, memories = saved
            for memory, one in zip(optimizer.memory, memories, strict=True):
                memory[:] = one
            self._optimizer = optimizer
