"""The card of a trained classifier, and its mirror inside the model file."""

import json
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from typing import Literal

import numpy as np

from models import __version__
from models.card import (
    Calibration,
    Candidate,
    Distillation,
    FrozenStatistics,
    GoldenRow,
    LayerStatistics,
    Metrics,
    ModelCard,
    Moments,
    Provenance,
)
from trainer.arrays import shortest_decimal
from trainer.card.drift import drift_baseline
from trainer.card.references import background_rows, typical_row
from trainer.data.encoder import describe_features
from trainer.data.rows import Rows
from trainer.data.table import Table
from trainer.evaluation.answers import Answers, HeldOut
from trainer.evaluation.duplicates import learned_rows
from trainer.evaluation.verdict import Verdict
from trainer.files import text_of
from trainer.fitting.fitted import Fitted, cut_short
from trainer.fitting.members import TrainedNetwork
from trainer.fitting.selection import Selection
from trainer.fitting.start import BACKGROUND, Start, generator
from trainer.fitting.student import distance, student_rows
from trainer.fitting.trained_classifier import TrainedClassifier
from trainer.nn import statistics
from trainer.nn.calibrator import Calibrator
from trainer.settings.config import TrainingConfig
from trainer.training.calibration import reliability, warning
from trainer.training.fit import score_of
from trainer.training.freezing import disagreement
from trainer.training.records import Score

GOLDEN_ROWS = 8
# What the provenance says of the files that the rows stood in.
FILES = ("table", "table_sha256", "test_table", "test_table_sha256")


def describe(
    config: TrainingConfig, table: Table, start: Start, fitted: Fitted, answers: HeldOut, verdict: Verdict
) -> ModelCard:
    """Write the card: everything but the digests of the files, which publishing adds."""
    classifier = fitted.classifier
    calibration = _calibration(classifier.calibrator, answers.test)
    return ModelCard(
        name=config.name,
        features=describe_features(start.examples.rows, start.split.train, start.encoder.as_categories),
        classes=classifier.classes,
        # Rows count as the table says, and class weights do not.
        metrics={
            "train": _mean_metrics(_scores_in_training(config, start, fitted)),
            "validation": _mean_metrics(map(_score, answers.validation)),
            "test": Metrics(**asdict(_score(answers.test))),
        },
        provenance=_provenance(config, table),
        frozen_statistics=tuple(_statistics(config, one, fitted.student is not None) for one in fitted.networks),
        calibration=calibration,
        distillation=_distillation(fitted, answers.bag),
        selection=tuple(_candidates(fitted.selection)),
        drift=drift_baseline(classifier, start.examples, start.inputs, start.split.train),
        evaluation=verdict.evaluation,
        warnings=(*(one.kept(config) for one in verdict.warnings), *doubts(config, fitted)),
        positive=config.positive,
        threshold=verdict.threshold,
        sets=verdict.sets,
        typical=typical_row(start.examples, start.told(start.split.train)),
        background=background_rows(
            start.examples, start.told(start.split.train), config.background, generator(config.seed, BACKGROUND)
        ),
        learned_rows=learned_rows(start.examples.rows, start.split.learning, start.split.test),
        golden=_golden_rows(classifier, start.examples.rows.take(start.split.test)),
    )


def _scores_in_training(config: TrainingConfig, start: Start, fitted: Fitted) -> Iterator[Score]:
    """The score of each published network alone on what it learned from."""
    for trained in fitted.networks:
        learned = student_rows(config, start) if fitted.student else start.split.folds[trained.number].train
        part = start.part(start.told(learned))
        alone = replace(fitted.classifier, networks=(trained.network,))
        yield score_of(alone.predict_encoded(part.inputs), part.labels, part.weights)


def _distillation(fitted: Fitted, answers: Answers | None) -> Distillation | None:
    """What the published network learned from, where it is a student."""
    if fitted.student is None or answers is None:
        return None
    return Distillation(
        members=len(fitted.bag.members),
        trees=fitted.student.trees or None,
        temperature=fitted.bag.classifier.calibrator.temperature,
        epochs=len(fitted.student.trained.history.epochs),
        divergence=fitted.student.divergence,
        test=Metrics(**asdict(_score(answers))),
    )


def _candidates(selection: Selection) -> Iterator[Candidate]:
    """What was tried beside the defaults."""
    names = [column.name for column in selection.start.examples.rows.numbers]
    for tried in selection.tried:
        yield Candidate(
            input_dropout=tried.candidate.input_dropout,
            categories=tuple(names[column] for column in tried.candidate.codes),
            scaling=tried.candidate.scaling,
            rows=tried.rows,
            gain=tried.gain,
            interval=tried.interval,
            chosen=tried.candidate == selection.chosen,
        )


def _mean_metrics(scores: Iterable[Score]) -> Metrics:
    """The mean of the scores of the networks."""
    rows, log_loss, accuracy = np.mean([(score.rows, score.log_loss, score.accuracy) for score in scores], axis=0)
    return Metrics(rows=round(rows), log_loss=float(log_loss), accuracy=float(accuracy))


def _score(answers: Answers) -> Score:
    return score_of(answers.probabilities, answers.labels, answers.weights)


def _calibration(calibrator: Calibrator, test: Answers) -> Calibration:
    """What the calibrator is, and how well the probabilities hold on the test rows without it and with it."""
    before, after = (reliability(each, test.labels, test.weights) for each in (test.uncalibrated, test.probabilities))
    bias = tuple(map(shortest_decimal, calibrator.bias))
    return Calibration(temperature=calibrator.temperature, bias=bias, before=before, after=after)


def doubts(config: TrainingConfig, fitted: Fitted) -> Iterator[str]:
    """What training itself is in doubt about."""
    frozen = [one.frozen for one in fitted.networks]
    rates = {fitted.selection.config.input_dropout, *(one.candidate.input_dropout for one in fitted.selection.tried)}
    dropout = 0.0 not in rates
    loss = "divergence from the bag" if fitted.student else "validation log-loss"
    sentences = (
        disagreement(frozen, loss),
        warning(fitted.bag.classifier.calibrator.temperature, dropout=dropout),
        distance(fitted.student.divergence) if fitted.student else None,
    )
    yield from filter(None, sentences)
    yield from cut_short(config, fitted)


def mirror(card: ModelCard) -> dict[str, str]:
    """The card as metadata of the model file, a JSON text a key.

    It lacks the time, and the names and digests of the tables' files: the same rows and one seed give the same bytes,
    whether they stand in CSV, in Parquet or in memory.
    """
    document = card.model_dump(
        mode="json", exclude={"files": True, "learned_rows": True, "provenance": {"created", *FILES}}
    )
    return {key: json.dumps(value, ensure_ascii=False) for key, value in document.items()}


def libraries(config: TrainingConfig) -> dict[str, str]:
    """The versions of the libraries that decide what a run computes; numba only where it is installed, scikit-learn
    where its trees teach.
    """
    names = ["numpy", "onnx", "pyarrow"]
    names += ["numba"] if find_spec("numba") else []
    names += ["scikit-learn"] if config.teacher != "bag" else []
    return {name: version(name) for name in names}


def _provenance(config: TrainingConfig, table: Table) -> Provenance:
    return Provenance(
        created=datetime.now(UTC),
        evenkeel=__version__,
        python=platform.python_version(),
        libraries=libraries(config),
        table=text_of(config.table),
        table_sha256=table.sha256,
        test_table=text_of(config.test_table) if config.test_table else None,
        test_table_sha256=table.test_sha256,
        target=config.target,
        table_schema=table.schema.decisions(),
        rows_without_target=table.rows_without_target,
        settings=config.settings(),
    )


def _statistics(config: TrainingConfig, trained: TrainedNetwork, student: bool) -> FrozenStatistics:
    by_layer, frozen = trained.network.by_layer, trained.frozen
    losses: dict[Literal["running", "population"], float]
    losses = {"running": frozen.running_loss, "population": frozen.population_loss}
    return FrozenStatistics(
        source=frozen.source,
        epsilon=config.epsilon,
        ewma_decay=config.ewma_decay,
        largest_shift=frozen.largest_shift(config.epsilon),
        **{"divergence" if student else "validation_log_loss": losses},
        layers=tuple(
            LayerStatistics(running=_on_card(running), population=_on_card(population))
            for running, population in zip(by_layer(frozen.running), by_layer(frozen.population), strict=True)
        ),
    )


def _on_card(moments: statistics.Moments) -> Moments:
    return Moments(mean=tuple(moments.mean.tolist()), variance=tuple(moments.variance.tolist()))


def _golden_rows(classifier: TrainedClassifier, rows: Rows) -> tuple[GoldenRow, ...]:
    """A few test rows, and the first of them once more with everything missing that may be missing."""
    chosen = rows.take(np.linspace(0, len(rows) - 1, min(GOLDEN_ROWS, len(rows)), dtype=np.int64))
    return tuple(
        GoldenRow(instance=record, probabilities=tuple(answer))
        for part in (chosen, chosen.take(np.array([0])).with_gaps())
        for record, answer in zip(part.records(), classifier.predict(part).tolist(), strict=True)
    )
