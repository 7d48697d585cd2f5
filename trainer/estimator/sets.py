"""Prediction sets of an estimator: chosen on rows of a fit that nothing else of it has seen."""

from typing import Any

import numpy as np
import numpy.typing as npt

from models.sets import PredictionSets
from trainer.arrays import Array
from trainer.data.rows import Rows
from trainer.data.split import for_sets
from trainer.errors import InvalidSetting, InvalidTable
from trainer.estimator.checked import Checked, labels_of
from trainer.estimator.networks import Networks
from trainer.evaluation.answers import Answers
from trainer.evaluation.sets import check_enough, choose
from trainer.fitting.start import SETS, generator
from trainer.settings.config import TrainingConfig
from trainer.settings.spelling import in_python


class Sets(Networks):
    """What a fit with a `coverage` leaves behind besides: `sets_`, None of any other."""

    sets_: PredictionSets | None = None

    def _set_aside(self, config: TrainingConfig, rows: Checked) -> tuple[Checked, Checked | None]:
        """The rows to learn from, and those that the sets are chosen on, where there are to be any.

        :raises InvalidSetting: these are too few.
        """
        if config.coverage is None:
            return rows, None
        _, y, _ = rows
        held = for_sets(labels_of(y, self.classes_), config.coverage_rows, generator(config.seed, SETS))
        kept, rest = _taken(rows, np.flatnonzero(held)), _taken(rows, np.flatnonzero(~held))
        try:
            check_enough(config.coverage, kept[2], len(kept[1]), share=config.coverage_rows, of=len(y))
        except InvalidTable as error:
            raise InvalidSetting(in_python(str(error))) from None
        return rest, kept

    def _choose_sets(self, config: TrainingConfig, kept: Checked | None) -> None:
        self.sets_ = None
        if kept is None or config.coverage is None:
            return
        inputs, y, weights = kept
        said = self._probabilities(inputs)
        answers = Answers(said, said, labels_of(y, self.classes_), weights)
        self.sets_ = choose(config.coverage, answers)

    def _probabilities(self, inputs: Array | Rows) -> Array:
        """Probabilities (n, classes) of checked rows."""
        encoded = self._inputs(inputs).astype(self.network_.values.dtype, copy=False)
        answers = [self.calibrator_.probabilities(network.logits(encoded)) for network in self.networks_]
        return np.mean(answers, axis=0, dtype=answers[0].dtype) if len(answers) > 1 else answers[0]


def _taken(rows: Checked, places: npt.NDArray[Any]) -> Checked:
    inputs, y, weights = rows
    some = inputs.take(places) if isinstance(inputs, Rows) else inputs[places]
    return some, y[places], None if weights is None else weights[places]
