"""Feedback: the true classes of rows that were answered, each by the id of its request; one or many."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from service.errors import Detail, InvalidRecord
from service.rows.rules import echo
from service.telemetry.answers import key_of
from service.telemetry.drift import Watch
from service.telemetry.feedback import RESULTS, Result
from service.wire.refusals import shapeless

ONE = '{"id": request id, "label": class}, with "index" where the request had several rows'
SHAPE = f'must be {ONE}; or {{"feedback": [such, …]}}; and "model" beside it names the only model that is meant'
# So many classes are named, and so many ids that nobody knows.
MOST_NAMED = 20


class Labelled(NamedTuple):
    """The true class of one row, as a client names it: the one at place `row` of the request with this id."""

    request_id: str
    row: int
    label: str


def read(document: Any) -> tuple[list[Labelled], str | None]:
    """The labels of a request, at least one, and the model that they are for where it names one.

    :raises InvalidRecord: it has another shape; the sentence says what it must have.
    """
    if not isinstance(document, dict):
        raise shapeless(f"the request {SHAPE}")
    rest = dict(document)
    model, several = rest.pop("model", None), rest.pop("feedback", None)
    if not isinstance(model, str | None) or (several is not None and rest):
        raise shapeless(f"the request {SHAPE}")
    if several is None:
        return [_labelled(rest, "the request")], model
    if not isinstance(several, list) or not several:
        raise shapeless(f"the request {SHAPE}")
    return [_labelled(one, f"feedback {at}") for at, one in enumerate(several)], model


class Classes:
    """Finds the places of labels among the classes of the versions that they are for."""

    def __init__(self, labelled: Sequence[Labelled], watches: Sequence[Watch]) -> None:
        self._labelled = labelled
        # The model of each label that was found.
        self.models = [""] * len(labelled)
        self._known = {
            watch.owner: (watch.model, {label: place for place, label in enumerate(watch.card.classes)})
            for watch in watches
        }

    def of(self, at: int, owner: int) -> int | None:
        """The place of a label; None where its version is none of those.

        :raises InvalidRecord: the label is no class of it; the sentence names the classes.
        """
        if owner not in self._known:
            return None
        (model, classes), label = self._known[owner], self._labelled[at].label
        self.models[at] = model
        if (place := classes.get(label)) is not None:
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


def _labelled(one: Any, place: str) -> Labelled:
    if not isinstance(one, dict) or not {"id", "label"} <= one.keys() <= {"id", "index", "label"}:
        raise shapeless(f"{place} {SHAPE}" if place == "the request" else f"{place} must be {ONE}")
    request_id, index, label = one["id"], one.get("index", 0), one["label"]
    if not isinstance(request_id, str) or isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise shapeless(f'{place}: "id" must be a text, the X-Request-Id of the answer, and "index" a row, from 0')
    # A class that looks like a number is still a text in the card.
    if isinstance(label, int) and not isinstance(label, bool):
        label = str(label)
    if not isinstance(label, str):
        raise shapeless(f'{place}: "label" must be the name of a class, as predictions have it')
    return Labelled(request_id, index, label)
