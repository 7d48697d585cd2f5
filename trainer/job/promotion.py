"""Whether a new version is to serve: always, if it is better than the one that serves, or never by itself."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from models.card import ModelCard
from models.errors import ModelError
from models.repository import ModelRepository, PublishedModel
from models.wording import command_on
from trainer.arrays import Array
from trainer.data.rows import RARE, Examples, Rows
from trainer.errors import InvalidSetting, TrainerError
from trainer.evaluation.answers import Answers
from trainer.export.graph import reference_predict
from trainer.fitting.start import Start
from trainer.nn.loss import cross_entropy

Promote = Literal["always", "if-better", "never"]
Known = Mapping[str, Collection[str]]
# onnx's own interpreter is slow; so many rows, from everywhere in the test part, are enough to compare two models.
MOST_ROWS = 20_000


class Incomparable(Exception):
    """The version that serves cannot be asked about these rows; the message is the end of a sentence."""


@dataclass(frozen=True)
class Decision:
    """Whether the new version is to serve, and the reason as the end of a sentence."""

    serves: bool
    reason: str


def check_promote(text: str) -> Promote:
    """:raises InvalidSetting: it is none of the three."""
    for choice in get_args(Promote):
        if text == choice:
            chosen: Promote = choice
            return chosen
    raise InvalidSetting(f"--promote should be {', '.join(get_args(Promote)[:-1])} or never, not {text[:64]!r}")


def decide(
    promote: Promote,
    card: ModelCard,
    start: Start,
    answers: Answers,
    model: PublishedModel,
    again: Callable[[Known], Examples],
) -> Decision | None:
    """Decide about a version with this card and these answers on the test rows; `model` serves now.

    `again` reads the examples once more, and keeps the texts that it is given, by column, however rare they are. None
    where nobody asked for a decision.
    """
    if promote == "always":
        return None
    if promote == "never":
        return Decision(False, "as --promote never says")
    places = np.linspace(0, len(answers) - 1, min(MOST_ROWS, len(answers)), dtype=np.int64)
    chosen = start.split.test[places]
    test = start.examples.take(chosen)
    try:
        if known := _merged(model.card, test.rows):
            test = _with(known, again).take(chosen)
        theirs = _answers(model, test)
    except Incomparable as error:
        return Decision(False, f"the two could not be compared: {error}")
    ours = answers.probabilities[places]
    new, old = (cross_entropy(each, test.labels, test.weights) for each in (ours, theirs))
    seen = "" if _same_split(card, model.card) else ", some of which the old one may have learned from"
    reason = (
        f"log-loss {new:.4f} of the new version against {old:.4f} of version {model.version} on the same {len(test)} "
        f"test rows{seen}"
    )
    return Decision(new < old, reason)


def serving(repository: ModelRepository, name: str) -> PublishedModel | None:
    """The version that serves, whole; None where there is none, or none that is intact."""
    try:
        return repository.read(name, repository.serving_version(name))
    except ModelError:
        return None


def _merged(card: ModelCard, rows: Rows) -> Known:
    """By column, the texts that a version knows, where some of them may be among those that the rows call rare."""
    known = {feature.name: frozenset(feature.categories) for feature in card.categorical}
    return {
        column.name: known[column.name]
        for column, vocabulary in zip(rows.texts_of, rows.vocabularies, strict=True)
        if RARE in vocabulary and not known.get(column.name, frozenset()).issubset(vocabulary)
    }


def _with(known: Known, again: Callable[[Known], Examples]) -> Examples:
    """The examples with these texts.

    :raises Incomparable: the table cannot be read a second time.
    """
    try:
        return again(known)
    except TrainerError as error:
        raise Incomparable(f"texts that it knows are rare in the table, and {error}") from None


def _answers(model: PublishedModel, test: Examples) -> Array:
    """The probabilities (n, classes of the test rows) that a published version gives.

    :raises Incomparable: it has a feature that the rows lack, or not all of their classes.
    """
    card = model.card
    if unknown := [label for label in test.classes if label not in card.classes]:
        raise Incomparable(f"version {model.version} does not know the class '{unknown[0][:40]}'")
    rows = _as_features(card, test.rows)
    probabilities = reference_predict(model.onnx, rows).probabilities
    return np.asarray(probabilities[:, [card.classes.index(label) for label in test.classes]])


def _as_features(card: ModelCard, rows: Rows) -> Rows:
    """The columns that a version was trained on, in its order.

    :raises Incomparable: one is not there, or is read as another kind.
    """
    kinds = {column.name: column.kind for column in rows.columns}
    # Dates stand among the numbers.
    texts = [name for name, kind in kinds.items() if kind == "categorical"]
    numbers = [name for name, kind in kinds.items() if kind != "categorical"]
    for feature in card.features:
        if kinds.get(feature.name) != feature.kind:
            raise Incomparable(f"it has the {feature.kind} feature '{feature.name[:40]}', which the table lacks")
    numeric = [numbers.index(feature.name) for feature in card.numeric]
    categorical = [texts.index(feature.name) for feature in card.categorical]
    return Rows(
        rows.columns,
        rows.numeric[:, numeric],
        rows.codes[:, categorical],
        tuple(rows.vocabularies[place] for place in categorical),
    )


def _same_split(card: ModelCard, other: ModelCard) -> bool:
    """Whether both have the same test rows, of the same table."""
    deciding = ("seed", "test", "split_by", "group", "time", "weight")
    one, two = card.provenance, other.provenance
    return (one.table_sha256, one.test_table_sha256) == (two.table_sha256, two.test_table_sha256) and all(
        one.settings.get(setting) == two.settings.get(setting) for setting in deciding
    )


def carry_out(
    decision: Decision | None, repository: ModelRepository, name: str, version: int, before: int | None
) -> str:
    """Let a published version serve as decided, and say what serves now.

    A model whose serving version was pinned stays pinned: to the new version, where that is to serve.

    :raises OSError: the disk refused; the sentence says that the version is published all the same.
    """
    promotion = f"{command_on(repository, 'models')} promote {name} {version}"
    try:
        if decision and decision.serves and repository.serving(name).version is not None:
            repository.change_serving(name, lambda chosen: chosen.promoted(version))
        now = repository.serving_version(name)
    except ModelError as error:
        return f"Version {version} is published, but which one serves cannot be told: {error}."
    except OSError as error:
        raise OSError(f"version {version} is published but not promoted: {error}; try: {promotion}") from None
    if now == version:
        was = f" in place of version {before}" if before else ""
        return f"Version {version} serves{was}" + (f": {decision.reason}." if decision else ".")
    reason = f": {decision.reason}" if decision else ", for it is pinned"
    return f"Version {now} keeps serving{reason}. Let version {version} serve with: {promotion}"
