"""The answers of a prediction log, repeated from the repository and held against the logged bits.

The version is found by the digest of its card, whatever its number is by now. Within a class of processors, and with
the same onnxruntime, every bit is promised; elsewhere a probability may differ by four units in the last place.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.card import ModelCard
from models.cells import days_of, moment
from models.errors import ModelError
from models.machine import processor_class
from models.prediction_log import BrokenLine, Hashed, LoggedPrediction, Place, read_log
from models.repository import ModelRepository
from models.terminal import tell
from service.errors import RefusedModel
from service.prediction.predictor import LIBRARIES, Predictor
from service.rows.tensors import Tensors

# So many lines of a version are answered at once.
TOGETHER = 1024
# Units in the last place of a 32-bit float, elsewhere.
NEAR_ULPS = 4
# So many lines that are not as they should be are listed.
MOST_LISTED = 20

Outcome = Literal["equal", "near", "differs", "not kept", "gone", "altered", "torn"]


@dataclass
class Report:
    """What came of the lines: how many of each outcome, in all and by model and version; the first that stand out."""

    counts: Counter[Outcome] = field(default_factory=Counter)
    by_version: defaultdict[tuple[str, int], Counter[Outcome]] = field(default_factory=lambda: defaultdict(Counter))
    listed: list[tuple[Place, str]] = field(default_factory=list)

    def add(self, outcome: Outcome, place: Place, line: LoggedPrediction | None = None, said: str = "") -> None:
        self.counts[outcome] += 1
        if line is not None:
            self.by_version[line.model, line.version][outcome] += 1
        if said and len(self.listed) < MOST_LISTED:
            self.listed.append((place, said))


def repeat(repository: ModelRepository, files: Sequence[Path]) -> Report:
    """Repeat the answers of some files."""
    report, versions = Report(), _Versions(repository)
    waiting: defaultdict[str, list[tuple[Place, LoggedPrediction]]] = defaultdict(list)
    for place, line in read_log(files):
        if isinstance(line, BrokenLine):
            said = "is torn off" if line.torn else "was altered"
            report.add("torn" if line.torn else "altered", place, said=said)
        elif isinstance(line, LoggedPrediction):
            predictor = versions.find(line)
            if predictor is None:
                report.add("gone", place, line)
            elif not _is_whole(line, predictor.card):
                report.add("not kept", place, line)
            else:
                some = waiting[line.card_sha256]
                some.append((place, line))
                if len(some) == TOGETHER:
                    _answer(predictor, waiting.pop(line.card_sha256), report)
    for some in waiting.values():
        predictor = versions.find(some[0][1])
        assert predictor is not None
        _answer(predictor, some, report)
    return report


class _Versions:
    """The versions of a repository by the digests of their cards; those that were asked for are loaded."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._numbers: dict[str, dict[str, int]] = {}
        self._loaded: dict[tuple[str, str], Predictor | None] = {}

    def find(self, line: LoggedPrediction) -> Predictor | None:
        """The version that has answered; None where it is gone, or not intact."""
        key = line.model, line.card_sha256
        if key not in self._loaded:
            self._loaded[key] = self._load(*key)
        predictor = self._loaded[key]
        return (
            predictor if predictor is not None and predictor.origin.facts["onnx_sha256"] == line.onnx_sha256 else None
        )

    def _load(self, name: str, digest: str) -> Predictor | None:
        if name not in self._numbers:
            self._numbers[name] = dict(self._digests(name))
        version = self._numbers[name].get(digest)
        if version is None:
            return None
        try:
            return Predictor(self._repository.read(name, version))
        except (ModelError, RefusedModel) as error:
            tell("warning", f"version {version} of {name} cannot be loaded: {error}")
            return None

    def _digests(self, name: str) -> Iterator[tuple[str, int]]:
        try:
            versions = self._repository.versions(name)
        except ModelError:
            return
        for version in versions:
            try:
                yield self._repository.digest(name, version), version
            except ModelError as error:
                tell("warning", f"version {version} of {name} cannot be read: {error}")


def _is_whole(line: LoggedPrediction, card: ModelCard) -> bool:
    """Whether each feature is there, and with its value."""
    return line.row.keys() == {one.name for one in card.features} and not any(
        isinstance(value, Hashed) for value in line.row.values()
    )


def _answer(predictor: Predictor, some: Sequence[tuple[Place, LoggedPrediction]], report: Report) -> None:
    """Hold the answers of a version against what it answers now."""
    card = predictor.card
    rows = [line.row for _, line in some]
    again = predictor.predict(_tensors(rows, card), seconds=inf)
    labels = [card.classes[place] for place in predictor.decide(again)]
    here = processor_class()
    for (place, line), probabilities, label in zip(some, again, labels, strict=True):
        logged = np.array(line.probabilities, np.float32)
        if logged.shape != probabilities.shape:
            report.add("differs", place, line, f"has {len(logged)} probabilities, not {len(probabilities)}")
            continue
        ulps = int(np.abs(_ordinals(logged) - _ordinals(probabilities)).max())
        same = line.processor == here and line.libraries.get("onnxruntime") == LIBRARIES["onnxruntime"]
        if ulps > (0 if same else NEAR_ULPS):
            report.add("differs", place, line, f"differs by {ulps} units in the last place")
        elif line.label != label and not ulps:
            report.add("differs", place, line, "the label is not the one of these probabilities")
        else:
            report.add("near" if ulps else "equal", place, line)


def _ordinals(numbers: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Numbers whose difference is how many 32-bit floats lie between: the bits, of negative ones mirrored."""
    bits = numbers.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _tensors(rows: Sequence[dict[str, float | str | Hashed | None]], card: ModelCard) -> Tensors:
    """The tensors that these rows were logged from."""
    tensors: Tensors = {}
    if card.numeric:
        values = [[_number(row[feature.name]) for feature in card.numeric] for row in rows]
        tensors["numeric"] = np.array(values, np.float64).astype(np.float32)
    if card.categorical:
        tensors["categorical"] = np.array(
            [[row[feature.name] or "" for feature in card.categorical] for row in rows], object
        )
    return tensors


def _number(value: float | str | Hashed | None) -> float:
    """A number as the model takes it, of a date its days."""
    if isinstance(value, str):
        return days_of(moment(value))
    return np.nan if value is None else float(value)  # type: ignore[arg-type]
