"""Feedback: the true classes of rows that were answered, each by the id of its request; one or many."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from models.cells import without_spelling
from service.errors import Detail, InvalidRecord
from service.rows.rules import echo
from service.telemetry.answers import key_of
from service.telemetry.drift import Watch
from service.telemetry.feedback import RESULTS, Result
from service.wire.refusals import shapeless

ONE = (
    '{"id": X-Request-Id of the answer, "label": name of a class}, with "index", from 0, where the request had several '
    'rows, and "model" where only an answer of that model is meant'
)
SHAPE = f'must be {ONE}; or {{"feedback": [such, …]}}'
# So many classes are named, and so many ids that nobody knows.
MOST_NAMED = 20


class Labelled(NamedTuple):
    """The true class of one row, as a client names it: the one at place `row` of the request with this id. Where it
    names a model, no other's answer is meant. A `label` that is no text is meant as the number or truth that it is.
    """

    request_id: str
    row: int
    label: str | float
    model: str | None


def read(document: Any) -> list[Labelled]:
    """The labels of a request, at least one.

    :raises InvalidRecord: it has another shape; the sentence says what it must have.
    """
    if not isinstance(document, dict):
        raise shapeless(f"the request {SHAPE}")
    if document.keys() != {"feedback"}:
        return [_labelled(document, f"the request {SHAPE}")]
    several = document["feedback"]
    if not isinstance(several, list) or not several:
        raise shapeless(f"the request {SHAPE}")
    return [_labelled(one, f"feedback {at} must be {ONE}") for at, one in enumerate(several)]


class Classes:
    """Finds the places of labels among the classes of the versions that they are for."""

    def __init__(self, labelled: Sequence[Labelled], watches: Sequence[Watch]) -> None:
        self._labelled = labelled
        # The model of each label that was found, and the class that it names.
        self.models, self.names = [""] * len(labelled), [""] * len(labelled)
        self._known = {
            watch.owner: (watch.card, {label: place for place, label in enumerate(watch.card.classes)})
            for watch in watches
        }
        self._meant: dict[tuple[int, type, str | float], int | None] = {}

    def of(self, at: int, owner: int) -> int | None:
        """The place of a label; None where its version is none of those.

        :raises InvalidRecord: the label is no class of it; the sentence names the classes.
        """
        if owner not in self._known:
            return None
        (card, classes), label = self._known[owner], self._labelled[at].label
        model = card.name
        if self._labelled[at].model not in (None, model):
            return None
        key = owner, type(label), label
        if key not in self._meant:
            self._meant[key] = _place(label, classes, card.provenance.table_schema.get("merge_spellings") is True)
        if (place := self._meant[key]) is not None:
            self.models[at], self.names[at] = model, card.classes[place]
            return place
        named = ", ".join(map(echo, list(classes)[:MOST_NAMED])) + (", …" if len(classes) > MOST_NAMED else "")
        sentence = f"label {echo(label)} is no class of {model}: its classes are {named}; no label was taken"
        detail: Detail = {"instance": at, "rule": "class", "message": sentence}
        raise InvalidRecord(f"feedback {at}: {sentence}", [detail])


def document(labelled: Sequence[Labelled], results: Sequence[Result]) -> dict[str, Any]:
    """How many labels were counted, and what became of the others."""
    counts: Mapping[Result, int] = Counter(results)
    unknown = [one for one, result in zip(labelled, results, strict=True) if result == "unknown"]
    return {result: counts.get(result, 0) for result in RESULTS} | {
        "unknown_ids": [{"id": one.request_id, "index": one.row} for one in unknown[:MOST_NAMED]]
    }


def keys_of(labelled: Sequence[Labelled]) -> list[int]:
    """The keys by which the answers were remembered."""
    return [key_of(one.request_id, one.row) for one in labelled]


def _labelled(one: Any, shape: str) -> Labelled:
    """`shape` says what it must have."""
    if not isinstance(one, dict) or not {"id", "label"} <= one.keys() <= {"id", "index", "label", "model"}:
        raise shapeless(shape)
    request_id, row, label, model = one["id"], one.get("index", 0), one["label"], one.get("model")
    texts = isinstance(request_id, str) and isinstance(label, str | float | int) and isinstance(model, str | None)
    if not texts or isinstance(row, bool) or not isinstance(row, int) or row < 0:
        raise shapeless(shape)
    return Labelled(request_id, row, label, model)


def _place(label: str | float, classes: Mapping[str, int], merged: bool) -> int | None:
    """The place of the class that a label names; None where there is none, or several.

    Where training `merged` classes that differ by case or blanks only, so do labels.

    A class that looks like a number or a truth is still a text in the card, whoever has written it: pandas reads `1` as
    1.0 where other rows are empty, and `true` as True.
    """
    if isinstance(label, str):
        named = {without_spelling(name): place for name, place in classes.items()} if merged else classes
        return named.get(without_spelling(label) if merged else label)
    spelled = json.dumps(label)
    if spelled in classes:
        return classes[spelled]
    if isinstance(label, bool):
        found = [place for name, place in classes.items() if name.lower() == spelled]
    else:
        found = [place for name, place in classes.items() if _number(name) == label]
    return found[0] if len(found) == 1 else None


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None
