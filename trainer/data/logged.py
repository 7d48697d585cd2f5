"""The labelled rows of a prediction log as a table: what a service answered, with the labels that it was told later."""

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from models.card import ModelCard
from models.cells import DAY, days_of, moment
from models.errors import ModelError
from models.features import Feature
from models.prediction_log import (
    BrokenLine,
    Hashed,
    LoggedFeedback,
    LoggedPrediction,
    NoLog,
    Place,
    log_files,
    read_log,
)
from models.repository import ModelRepository
from models.terminal import tell
from trainer.data.columns import Cells, NumberCells, TextCells
from trainer.data.decoded import Decoded
from trainer.data.schema import ColumnSchema, FileSchema, Schema
from trainer.data.stated import stated_schema
from trainer.errors import InvalidTable, Unreadable

# When a row was answered; the column divides the rows by time where nothing else does.
ANSWERED = "answered_at"
# So many lines that are left out are named.
MOST_NAMED = 3

# A row, wherever it was answered: its request, and its place in that.
_Key = tuple[str, int]


@dataclass(frozen=True)
class _Labelled:
    """A logged answer, where it stands, and the newest label that it got."""

    place: Place
    answer: LoggedPrediction
    label: str


def read_logged(folder: Path, repository: ModelRepository, name: str, drop: Sequence[str] = ()) -> Decoded:
    """The labelled rows of a model in a log, the oldest first, read as the card of the newest one says.

    Labels are joined to answers by request and place; the latest label counts. What lacks a feature that is not to be
    dropped is left out, as lines are that were altered; both are told on stderr.

    :raises Unreadable: there is no log, or it cannot be read.
    :raises InvalidTable: no row is labelled, or no row has a feature; the sentence says what to do.
    """
    try:
        files = log_files(folder)
        labels = _labels(files, name)
        rows = _rows(files, name, labels, folder)
    except NoLog as error:
        raise Unreadable(str(error)) from None
    except OSError as error:
        raise Unreadable(f"{error.filename or folder}: {error.strerror}") from None
    card = _card(repository, rows[-1].answer)
    rows = _whole(rows, card, drop, folder)
    time = _free(ANSWERED, card)
    columns = {feature.name: _cells(feature, rows) for feature in card.features}
    columns[card.provenance.target] = _texts([row.label for row in rows])
    columns[time] = _days(_in_turn([row.answer.time for row in rows]))
    digest = hashlib.sha256()
    for row in rows:
        digest.update(repr((row.answer.model_dump(mode="json"), row.label)).encode())
    schema = _schema(card, time)
    places = [row.place for row in rows]

    def line(row: int) -> str:
        return f"{places[row].file.name}, line {places[row].number}"

    return Decoded(folder, digest.hexdigest(), MappingProxyType(columns), len(rows), schema.file, line, schema=schema)


def target_and_time(decoded: Decoded) -> tuple[str, str]:
    """The target of a log's rows, and the column of when they were answered."""
    assert decoded.schema is not None
    return decoded.schema.target, list(decoded.columns)[-1]


def _labels(files: Iterable[Path], name: str) -> dict[_Key, LoggedFeedback]:
    """The latest label of each row."""
    labels: dict[_Key, LoggedFeedback] = {}
    for _, line in read_log(files):
        if isinstance(line, LoggedFeedback) and line.model == name:
            key = line.request_id, line.index
            if key not in labels or labels[key].time <= line.time:
                labels[key] = line
    return labels


def _rows(files: Iterable[Path], name: str, labels: Mapping[_Key, LoggedFeedback], folder: Path) -> list[_Labelled]:
    """The labelled answers, the oldest first; of several with one key the newest."""
    found: dict[_Key, _Labelled] = {}
    models: Counter[str] = Counter()
    altered: list[Place] = []
    for place, line in read_log(files):
        if isinstance(line, BrokenLine):
            altered += [] if line.torn else [place]
        elif isinstance(line, LoggedPrediction):
            models[line.model] += 1
            key = line.request_id, line.index
            label = labels.get(key)
            if line.model == name and label and (key not in found or found[key].answer.time <= line.time):
                found[key] = _Labelled(place, line, label.label)
    if altered:
        named = "; ".join(map(str, altered[:MOST_NAMED]))
        tell("warning", f"{len(altered)} lines of the log were altered and are left out: {named}")
    if found:
        return sorted(found.values(), key=lambda row: (row.answer.time, row.answer.request_id, row.answer.index))
    if not models[name]:
        others = f"; it has answers of {', '.join(sorted(models))}" if models else ""
        raise InvalidTable(f"the log in {folder} has no answer of {name}{others}")
    raise InvalidTable(
        f"the log in {folder} has {models[name]} answers of {name} and no label for any: send labels with POST "
        '/v1/feedback {"id": X-Request-Id, "index": 0, "label": CLASS}'
    )


def _card(repository: ModelRepository, newest: LoggedPrediction) -> ModelCard:
    """The card of the version that has answered last, or of the one that serves where that is gone.

    :raises InvalidTable: there is none.
    """
    name = newest.model
    try:
        if newest.version in repository.versions(name):
            return repository.card(name, newest.version)
        return repository.card(name, repository.serving_version(name))
    except ModelError as error:
        raise InvalidTable(f"the card of {name}, which says how rows of the log are read, cannot be: {error}") from None


def _whole(rows: Sequence[_Labelled], card: ModelCard, drop: Sequence[str], folder: Path) -> list[_Labelled]:
    """Those of some rows that have every feature which is not to be dropped."""
    needed = [feature.name for feature in card.features if feature.name not in drop]
    for feature in needed:
        if not any(_is_kept(row, feature) for row in rows):
            raise InvalidTable(
                f"no row of the log in {folder} has the feature '{feature}', which the service dropped or hashed; "
                f"leave it out with --drop {shlex.quote(feature)}"
            )
    whole = [row for row in rows if all(_is_kept(row, feature) for feature in needed)]
    if not whole:
        raise InvalidTable(f"no row of the log in {folder} has all features of {card.name}")
    if len(whole) < len(rows):
        tell("warning", f"{len(rows) - len(whole)} labelled rows of the log lack a feature and are left out")
    return whole


def _is_kept(row: _Labelled, feature: str) -> bool:
    values = row.answer.row
    return feature in values and not isinstance(values[feature], Hashed)


def _cells(feature: Feature, rows: Sequence[_Labelled]) -> Cells:
    values = [None if isinstance(value := row.answer.row.get(feature.name), Hashed) else value for row in rows]
    if feature.kind == "categorical":
        return _texts(values)
    if feature.kind == "date":
        return _days([days_of(moment(one)) if isinstance(one, str) else one for one in values])
    return _numbers(values)


def _numbers(values: Sequence[Any]) -> NumberCells:
    numbers = np.array([np.nan if value is None else value for value in values], np.float64)
    return NumberCells.of(numbers, np.isnan(numbers))


def _days(values: Sequence[Any]) -> NumberCells:
    days = np.array([np.nan if value is None else value for value in values], np.float64)
    nothing = np.isnan(days)
    return NumberCells.of(np.rint(np.where(nothing, 0, days) * DAY).astype(np.int64), nothing, dates=True)


def _in_turn(times: Sequence[datetime]) -> list[float]:
    """The days of moments, the earliest first; of those that are one, as in a request, a microsecond after another."""
    moments: list[int] = []
    for time in times:
        now = round(1e6 * time.timestamp())
        moments.append(max(now, moments[-1] + 1) if moments else now)
    return [days_of(one) for one in moments]


def _texts(values: Sequence[Any]) -> TextCells:
    texts = sorted({value for value in values if value is not None})
    number = {text: code for code, text in enumerate(texts)}
    codes = np.array([number.get(value, len(texts)) for value in values], np.min_scalar_type(len(texts)))
    return TextCells.numbered(texts, codes)


def _free(name: str, card: ModelCard) -> str:
    """A name that is no column's."""
    while name == card.provenance.target or any(name == feature.name for feature in card.features):
        name += "_"
    return name


def _schema(card: ModelCard, time: str) -> Schema:
    """How the rows are read: as the training table was, as far as the card tells; a log is no file of cells."""
    given = stated_schema(card)
    columns = {
        feature.name: given.columns.get(feature.name) or ColumnSchema(kind=feature.kind, required=not feature.nullable)
        for feature in card.features
    }
    columns[time] = ColumnSchema(kind="date")
    return given.model_copy(update={"columns": columns, "file": FileSchema(), "notes": (), "read_as": ""})
