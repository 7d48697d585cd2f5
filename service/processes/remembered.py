"""What a service still knows after a restart: the newest answers and their labels, as the prediction log has them."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from heapq import nlargest
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.errors import ModelError
from models.prediction_log import SUFFIX, LoggedFeedback, LoggedPrediction, decoded
from models.repository import ModelRepository
from service.telemetry.answers import Records, key_of, records_of
from service.telemetry.drift import owner_of
from service.telemetry.feedback import Feedback

# So many lines of each kind are read, from the ends of the newest files: enough of them, and soon over.
MOST_LINES = 10_000
FILE_BYTES, ALL_BYTES = 16 << 20, 64 << 20
# The beginning of every line.
_LINE = re.compile(rb'\{"kind":"(prediction|feedback)","time":"([^"]*)"')

log = logging.getLogger(__name__)

_Row = tuple[str, int]


class _Version(NamedTuple):
    owner: int
    classes: Sequence[str]


def recall(feedback: Feedback, folder: Path | None, repository: ModelRepository) -> None:
    """Remember what the log in a folder, if there is one, has of late. What of it cannot be read is left out.

    A label that is no class of its version, or whose answer is not among those of late, is passed over.
    """
    if folder is None or not feedback.on:
        return
    try:
        lines = list(_newest_lines(folder))
    except OSError as error:
        log.warning("no earlier answer is remembered: the prediction log cannot be read", extra={"reason": str(error)})
        return
    logged = [line for line in map(decoded, lines) if line is not None]
    answers = _answers([line for line in logged if isinstance(line, LoggedPrediction)], repository)
    labels = _labels([line for line in logged if isinstance(line, LoggedFeedback)], answers)
    feedback.refill({key_of(*row): record for row, (_, record) in answers.items()}, labels)
    if answers:
        log.info("earlier answers remembered", extra={"answers": len(answers), "labels": len(labels)})


def _answers(lines: Sequence[LoggedPrediction], repository: ModelRepository) -> dict[_Row, tuple[_Version, Records]]:
    """The answers of versions that are still there, the oldest first. The number of one that was removed may have been
    given again, to another one.
    """
    versions = lru_cache(_version)
    found: dict[_Row, tuple[_Version, Records]] = {}
    for line in lines:
        version = versions(repository, line.model, line.version, line.card_sha256)
        if version is not None and len(version.classes) == len(line.probabilities):
            probabilities = np.array([line.probabilities], np.float32)
            found[line.request_id, line.index] = (
                version,
                records_of(version.owner, line.time.timestamp(), probabilities),
            )
    return found


def _labels(lines: Sequence[LoggedFeedback], answers: Mapping[_Row, tuple[_Version, Records]]) -> dict[int, Records]:
    """Of each answer the last label, by the answer's key."""
    found: dict[int, Records] = {}
    for line in lines:
        row = line.request_id, line.index
        if row in answers and line.label in answers[row][0].classes:
            version, record = answers[row]
            found[key_of(*row)] = copy = record.copy()
            copy["label"], copy["labelled"] = version.classes.index(line.label), line.time.timestamp()
    return found


def _version(repository: ModelRepository, name: str, version: int, digest: str) -> _Version | None:
    """Whose answers those of the version with this card are; None where it is gone."""
    try:
        if repository.digest(name, version) != digest:
            return None
        card = repository.card(name, version)
    except ModelError:
        return None
    return _Version(owner_of(card, version), card.classes)


def _newest_lines(folder: Path) -> Iterator[bytes]:
    """The newest lines of each kind, the oldest first.

    :raises OSError: a file cannot be read.
    """
    found: dict[bytes, list[tuple[bytes, bytes]]] = {b"prediction": [], b"feedback": []}
    files = [path for path in folder.iterdir() if path.suffix == SUFFIX] if folder.is_dir() else []
    left = ALL_BYTES
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        with path.open("rb") as file:
            size = min(file.seek(0, os.SEEK_END), FILE_BYTES, left)
            file.seek(-size, os.SEEK_END)
            left -= size
            for line in file:
                if match := _LINE.match(line):
                    found[match[1]].append((match[2], line))
        if not left:
            break
    newest = [one for lines in found.values() for one in nlargest(MOST_LINES, lines)]
    yield from (line for _, line in sorted(newest))
