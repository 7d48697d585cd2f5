"""The lines of the prediction log for the rows of one version, as `models.prediction_log` has them, many at a time.

A line costs a few microseconds of processor, so what all lines of a version have in common is worded once, and numbers
are spelled all at once, as short as a 32-bit float can be.
"""

import hmac
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter

import numpy as np
import numpy.typing as npt
import orjson

from models.cells import days_of, iso_date, moment
from models.features import Feature
from models.files import sha256
from models.machine import processor_class
from models.prediction_log import sealed, spelled
from models.repository import PublishedModel
from service.rows.tensors import Probabilities

# As hexadecimal digits, of a value's HMAC.
HASH_DIGITS = 32
# In the place of a feature's name, all features.
EVERY = "*"

Spell = Callable[[str], str]


@dataclass(frozen=True)
class Privacy:
    """The features whose values no line has, and those of which a line has a keyed hash; `*` stands for all."""

    dropped: Collection[str] = ()
    hashed: Collection[str] = ()
    key: bytes = field(default=b"", repr=False)

    def drops(self, name: str) -> bool:
        return name in self.dropped or EVERY in self.dropped

    def hashes(self, name: str) -> bool:
        return name in self.hashed or EVERY in self.hashed

    def unknown(self, features: Sequence[Feature]) -> list[str]:
        """The names that are none of these features."""
        return sorted({*self.dropped, *self.hashed} - {feature.name for feature in features} - {EVERY})

    def hash(self, name: str, value: str) -> str:
        """What stands for a value, which is given as JSON."""
        digest = hmac.digest(self.key, f"{spelled(name)}:{value}".encode(), "sha256").hex()[:HASH_DIGITS]
        return f'{{"hash":"{digest}"}}'


EVERYTHING = Privacy()


class Origin:
    """Where the answers of one version come from: what all their lines have in common."""

    def __init__(
        self, model: PublishedModel, decide: Callable[[Probabilities], list[int]], libraries: Mapping[str, str]
    ) -> None:
        """`decide` gives the places in `card.classes` of the labels that go with probabilities; `libraries` are the
        versions of those that reckon them.
        """
        card = model.card
        self.model, self.version = card.name, model.version
        self.features, self.classes = card.features, len(card.classes)
        self.numbers, self.texts = len(card.numeric), len(card.categorical)
        self.decide = decide
        self.labels = card.classes
        kinds: tuple[Sequence[Feature], ...] = (card.numeric, card.categorical)
        self.columns = {feature.name: at for at, feature in enumerate(chain(*kinds))}
        stated = card.files.get("model.onnx")
        self.facts = {
            "card_sha256": model.digest,
            "onnx_sha256": stated.sha256 if stated else sha256(model.onnx),
            "libraries": dict(libraries),
            "processor": processor_class(),
        }


class Lines:
    """Words the answers of one version, some fields of whose rows may be kept from the log."""

    def __init__(self, origin: Origin, privacy: Privacy) -> None:
        self._origin = origin
        spellings = {feature.name: _spelling(feature, privacy) for feature in origin.features}
        kept = [feature for feature in origin.features if not privacy.drops(feature.name)]
        self._pick = _picker([origin.columns[feature.name] for feature in kept])
        # Of the cells of a row, numbers first, those that are not spelled as they stand.
        self._spelled = [(origin.columns[name], spell) for name, spell in spellings.items() if spell is not None]
        self._row = ",".join(f"{spelled(one.name).replace('%', '%%')}:%s" for one in kept)
        # What stands before the digits of the probabilities, by the label, and behind the row.
        model = f'"model":{spelled(origin.model)},"version":{origin.version}'
        self._model = [f'{model},"label":{spelled(label)},"bits":"' for label in origin.labels]
        self._facts = spelled(origin.facts)[1:-1]

    def of(
        self,
        names: Sequence[tuple[str, str, int]],
        numbers: npt.NDArray[np.float32],
        texts: Sequence[str],
        probabilities: Probabilities,
    ) -> Iterator[bytes]:
        """A line for each row: `names` are its time, its request and its place in that; `numbers` (n, p) are its
        numeric tensor, `texts` those of all rows, one after the other.
        """
        origin, pick, spelled, row, facts = self._origin, self._pick, self._spelled, self._row, self._facts
        digits, digits_each, texts_each = probabilities.astype(">f4").tobytes().hex(), 8 * origin.classes, origin.texts
        models = [self._model[place] for place in origin.decide(probabilities)]
        numeric = _spelled_numbers(numbers)
        for at, ((when, request_id, index), model) in enumerate(zip(names, models, strict=True)):
            cells = [*numeric[at], *texts[at * texts_each : (at + 1) * texts_each]]
            for column, spell in spelled:
                cells[column] = spell(cells[column])
            yield sealed(
                f'{{"kind":"prediction","time":"{when}","request_id":"{request_id}","index":{index},{model}'
                f'{digits[at * digits_each : (at + 1) * digits_each]}","row":{{{row % pick(cells)}}},{facts}'.encode()
            )


def _picker(places: Sequence[int]) -> Callable[[Sequence[str]], tuple[str, ...]]:
    """What takes the cells at these places from a row."""
    if len(places) < 2:  # Of one place, `itemgetter` gives no tuple.
        return lambda cells: tuple(cells[place] for place in places)
    return itemgetter(*places)


def _spelled_numbers(numbers: npt.NDArray[np.float32]) -> list[list[str]]:
    """The cells of each row as JSON spells them, null where they are missing."""
    if not numbers.size:
        return [[] for _ in numbers]
    text = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY).decode()
    return [row.split(",") for row in text[2:-2].split("],[")]


def _spelling(feature: Feature, privacy: Privacy) -> Spell | None:
    """What makes JSON of a cell; None where it is JSON already, as numbers are."""
    spell: Spell | None = None
    if feature.kind == "categorical":
        spell = _Texts({"": "null"} | {text: spelled(text) for text in feature.categories}).__getitem__
    elif feature.kind == "date":
        spell = _date
    if not privacy.hashes(feature.name):
        return spell
    return lambda cell: privacy.hash(feature.name, spell(cell) if spell else cell)


class _Texts(dict[str, str]):
    """The known texts as JSON; others, which may be long, are not kept."""

    def __missing__(self, text: str) -> str:
        return spelled(text)


def _date(days: str) -> str:
    """The date of so many days, where it is exactly that again."""
    if days == "null":
        return days
    text = iso_date(float(days))
    return f'"{text}"' if np.float32(days_of(moment(text))) == np.float32(days) else days
