"""`evaluate NAME TABLE`: how good a published model is on later rows whose classes are known by now."""

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.scoring.local import answers
from evenkeel.tables.labelled import Labelled, learned_by, read_labelled
from models import terminal
from models.card import ModelCard
from models.evaluation import Evaluation
from models.repository import ModelRepository, PublishedModel
from models.sets import PredictionSets, TestedSets
from models.terminal import add_command, add_model, printable, room
from models.wording import command_on, evaluation_lines
from trainer.arrays import Array
from trainer.evaluation.answers import Answers
from trainer.evaluation.baselines import commonest_class
from trainer.evaluation.sets import tested
from trainer.measures.scores import measure
from trainer.measures.threshold import at_threshold


def add_evaluate(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `evaluate`."""
    evaluate = add_command(
        commands,
        "evaluate",
        evaluate_model,
        "measure a published model on later rows whose classes are known",
        examples=("penguins later.csv", "penguins later.csv --version 1 --json"),
        epilog="Nothing is written. Exit codes: 0 done, 64 usage, 65 unfit table or model, 66 no table.",
    )
    add_model(evaluate, flag=True)
    evaluate.add_argument("table", type=Path, help="labelled table: the features and the target of the training table")
    evaluate.add_argument("--json", action="store_true", help="print JSON")


def evaluate_model(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Measure a version on a table, and print that beside what its own test rows said.

    :raises TrainerError: the table cannot be read as the training table was.
    :raises ModelError: there is no such version, or it is not intact.
    """
    version = options.version or repository.serving_version(options.name)
    model = repository.read(options.name, version)
    labelled = read_labelled(options.table, model.card)
    evaluation = evaluation_of(model.card, answers(model, labelled.rows), labelled)
    if options.json:
        print(evaluation.model_dump_json())
    else:
        terminal.show("\n".join(_report(repository, model, options.table, labelled, evaluation)))


def evaluation_of(card: ModelCard, probabilities: Array, labelled: Labelled) -> Evaluation:
    """The measures of probabilities (n, classes), and those of always answering training's commonest class."""
    evaluation = measure(probabilities, labelled.labels, card.classes, labelled.weights)
    weights = labelled.weights
    counts = np.ones(len(labelled)) if weights is None else weights.astype(np.float64)
    found: dict[str, Any] = {}
    if card.evaluation and card.evaluation.class_shares:
        shares = np.array(card.evaluation.class_shares)
        found["baselines"] = (commonest_class(probabilities, labelled.labels, card.classes, shares, counts, counts),)
        found["class_shares"] = card.evaluation.class_shares
    if card.positive is not None and card.threshold is not None:
        label = card.classes.index(card.positive)
        found["at_threshold"] = at_threshold(card.threshold, probabilities[:, label], labelled.labels == label, counts)
    if card.sets is not None:
        found["sets"] = tested(card.sets, Answers(probabilities, probabilities, labelled.labels, weights))
    return evaluation.model_copy(update=found)


def _report(
    repository: ModelRepository, model: PublishedModel, table: Path, labelled: Labelled, evaluation: Evaluation
) -> Iterator[str]:
    card = model.card
    left_out = f"; {labelled.without_target} more have no target" if labelled.without_target else ""
    yield f"{card.name}, version {model.version}, on {len(labelled)} rows of {printable(table.name, 60)}{left_out}"
    if learned := learned_by(card, labelled):
        yield f"warning: it was trained on {learned} of these rows, which flatters it; take later rows"
    yield ""
    for line in evaluation_lines(evaluation, what="rows", width=room() - 2):
        yield f"  {line}".rstrip()
    if card.sets and evaluation.sets:
        yield ""
        yield _covered(card.sets, evaluation.sets)
    yield ""
    yield _compared(repository, card, table, evaluation)


def _covered(promised: PredictionSets, found: TestedSets) -> str:
    """What has become of the promise of the sets."""
    return (
        f"Of its prediction sets {promised.level:g} are to hold the true class; of these rows' {found.coverage:.4f} "
        f"do, with {found.mean_size:.2f} classes on average."
    )


def _compared(repository: ModelRepository, card: ModelCard, table: Path, evaluation: Evaluation) -> str:
    """What has become of the model since it was trained."""
    before, (low, high) = card.metrics["test"], evaluation.accuracy_interval
    said = f"On its own test rows it had accuracy {before.accuracy:.4f} and log-loss {before.log_loss:.4f}"
    if before.accuracy > high:
        return (
            f"{said}: it does worse on these rows, beyond the noise. Train it again on newer rows with: "
            f"{command_on(repository, 'fit')} {shlex.quote(str(table))} "
            f"--target {shlex.quote(card.provenance.target)} --name {card.name} --promote if-better"
        )
    if before.accuracy < low:
        return f"{said}: it does better on these rows, beyond the noise."
    return f"{said}: no difference beyond the noise."
