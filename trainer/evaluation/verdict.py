"""The verdict on a bag: measured on its test rows, held against baselines, with what to be warned of."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from models.evaluation import Baseline, Evaluation
from models.sets import PredictionSets
from trainer.arrays import Array
from trainer.data.schema import Schema
from trainer.errors import Diverged, InvalidSetting
from trainer.evaluation import cautions, sets
from trainer.evaluation.answers import Answers, HeldOut
from trainer.evaluation.baselines import commonest_class, softmax_baseline, softmax_regression
from trainer.evaluation.cautions import Caution
from trainer.evaluation.codes import code_columns
from trainer.evaluation.duplicates import repeated
from trainer.fitting.start import Start
from trainer.measures.scores import Vector, measure
from trainer.measures.threshold import Chosen, Rule, at_threshold, choose
from trainer.settings.config import TrainingConfig


@dataclass(frozen=True)
class Verdict:
    """What the test rows say, and the warnings. `below` is the first of them where a baseline does as well.

    `threshold` and `sets` are chosen, each on other rows, where they were asked for.
    """

    evaluation: Evaluation
    warnings: tuple[Caution, ...]
    below: Caution | None
    threshold: float | None
    sets: PredictionSets | None = None


def check_positive(config: TrainingConfig, classes: Sequence[str]) -> None:
    """Whether there is such a class, before anything is trained.

    :raises InvalidSetting: there is not, or the classes are not two.
    """
    if config.positive is None:
        return
    if len(classes) != 2:
        raise InvalidSetting(
            f"--positive is for two classes, and '{config.target}' has {len(classes)}; leave --positive out"
        )
    if config.positive not in classes:
        raise InvalidSetting(
            f"--positive {config.positive[:64]!r} is no class of '{config.target}'; say --positive {classes[0]!r} or "
            f"--positive {classes[1]!r}"
        )


def judge(
    config: TrainingConfig, schema: Schema, start: Start, answers: HeldOut, tried: Collection[str] = ()
) -> Verdict:
    """Measure what a bag answers. Training is over: nothing of this reaches the networks.

    Of whole numbers that were `tried` as categories nobody need be asked whether they are any.
    """
    test, classes = answers.test, start.examples.classes
    evaluation = measure(test.probabilities, test.labels, classes, test.weights)
    shares, factors = _class_shares(config, start)
    evaluation = evaluation.model_copy(
        update={
            "baselines": _baselines(config, start, test, shares, factors),
            "class_shares": tuple(np.round(shares, 6).tolist()),
        }
    )
    chosen = _threshold(config, classes, answers.validation)
    said = []
    if chosen and config.positive is not None:
        label = classes.index(config.positive)
        found = at_threshold(chosen.threshold, test.probabilities[:, label], test.labels == label, test.counts)
        evaluation = evaluation.model_copy(update={"at_threshold": found})
        if chosen.shortfall is not None and config.threshold:
            said.append(cautions.unreached(Rule.parse(config.threshold).precision, chosen.shortfall))
    below = cautions.below_baseline(evaluation)
    copies = repeated(start.examples.rows, start.split.train, start.split.test)
    codes = [one for one in code_columns(start.examples.rows, start.told(start.split.train)) if one not in tried]
    if config.divide and config.coverage is not None:
        said += cautions.sets_by(*config.divide)
    others = cautions.cautions(schema, evaluation, config.positive, copies, codes)
    warnings = (*([below] if below else []), *others, *said)
    threshold = chosen.threshold if chosen else None
    if config.coverage is None or answers.sets is None:
        return Verdict(evaluation, warnings, below, threshold)
    return Verdict(evaluation, warnings, below, threshold, sets.choose(config.coverage, answers.sets, test))


def _counts(weights: Array | None, rows: int) -> Vector:
    return np.ones(rows) if weights is None else weights.astype(np.float64)


def _class_shares(config: TrainingConfig, start: Start) -> tuple[Vector, Vector]:
    """The share of each class among the training rows, and how much a row of it counts in training."""
    train = start.split.train
    labels, weights = start.examples.labels[train], start.examples.weights
    counts = _counts(None if weights is None else weights[train], len(train))
    totals = np.bincount(labels, counts, minlength=len(start.examples.classes))
    shares = totals / totals.sum()
    factors = np.ones(len(totals))
    if config.class_weight == "balanced":
        np.divide(1.0 / len(totals), shares, out=factors, where=totals > 0)
    return shares, factors


def _baselines(
    config: TrainingConfig, start: Start, test: Answers, shares: Vector, factors: Vector
) -> tuple[Baseline, ...]:
    answers, labels, counts = test.probabilities, test.labels, test.counts
    weigh = counts * factors[labels]
    baselines = [commonest_class(answers, labels, start.examples.classes, shares, counts, weigh)]
    with suppress(Diverged):
        regression = softmax_regression(start, config.seed, factors)
        baselines.append(softmax_baseline(answers, regression, labels, counts, weigh))
    return tuple(baselines)


def _threshold(config: TrainingConfig, classes: Sequence[str], validation: Sequence[Answers]) -> Chosen | None:
    """The threshold, from what each network says of the rows that it did not learn from."""
    if config.positive is None or config.threshold is None:
        return None
    label = classes.index(config.positive)
    scores = np.concatenate([part.probabilities[:, label] for part in validation])
    positive = np.concatenate([part.labels == label for part in validation])
    counts = np.concatenate([part.counts for part in validation])
    return choose(Rule.parse(config.threshold), scores, positive, counts)
