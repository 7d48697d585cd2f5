"""From raw rows to the inputs of a network: impute, scale, mark what is missing or common, number the categories.

The encoder is a handful of constants fitted on the training rows. It is applied here in numpy while training and as
nodes of the exported graph while serving; `trainer.export.graph` writes the same arithmetic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from models.features import CategoricalFeature, DateFeature, Feature, NumericFeature
from trainer.arrays import Array, shortest_decimal
from trainer.data.rows import RARE, Rows
from trainer.data.scaling import Kind, Scaling, fit_scaling
from trainer.data.split import Indices

# A column with a value that is so common, and so many different ones, is a mixture: zero or an amount, 40 hours or not.
COMMON = 0.3
FEWEST_VALUES, MOST_VALUES = 32, 256
# More than this together, and the columns are pixels or the like: inputs of their own would be most of the table.
MOST_ATOMS = 1000
FEWEST_ROWS = 10
FEW_EXAMPLES = 1400
# Above so many texts a column is a number for each, which the network embeds.
MOST_ONE_HOT = 8
# Whole numbers of more values than these are no codes.
MOST_CODES = 32
# Of more numbers than these the quantiles cost more than the network.
MOST_RANKED = 64
ROWS_AT_ONCE, CELLS_AT_ONCE = 1 << 14, 1 << 22
DATE_WAVES, WEEKDAYS = 4, 7
# The calendar's own ends, the first of which is a Monday, and the mean length of its year, in days.
FIRST_DAY, LAST_DAY, YEAR = -719162, 2932897, 365.2425


@dataclass(frozen=True, eq=False)
class Encoder:
    """Fitted constants.

    A missing number becomes the column's `median` (p,), and then `scaling` says what. `gaps` lists the columns with
    missing cells in training; each has an input that is 1 where the cell is missing. `atoms` lists, by column, the
    values that one number repeats; each has an input of its own. `categories` lists the known texts of each text
    column; a missing cell is the text "" and has a place of its own where training had enough of it. Columns of up to
    `one_hot` texts have an input a text, all of them zero for any other text. A column of more has one input, at the
    end: a code for a network to embed, which no other column uses. `varied` lists the columns with more than two
    values in training. `dates` lists the columns of days since 1970-01-01, each of which has `DATE_WAVES` inputs, the
    season and the hour as points on a circle, and one for each of `WEEKDAYS`. `as_categories` lists the columns of
    numbers whose values are atoms alone.
    """

    median: Array
    scaling: Scaling
    gaps: tuple[int, ...]
    atoms: tuple[tuple[int, Array], ...]
    categories: tuple[tuple[str, ...], ...]
    one_hot: int
    varied: tuple[int, ...]
    dates: tuple[int, ...] = ()
    as_categories: tuple[int, ...] = ()

    @property
    def marked(self) -> list[int]:
        """The text columns with an input a text."""
        return [column for column, known in enumerate(self.categories) if len(known) <= self.one_hot]

    @property
    def coded(self) -> list[int]:
        """The text columns with one input, to be embedded."""
        return [column for column, known in enumerate(self.categories) if len(known) > self.one_hot]

    @property
    def code_starts(self) -> list[int]:
        """The code in each coded column of a text that is not known; those of the known ones follow it."""
        return list(accumulate((len(self.categories[column]) + 1 for column in self.coded), initial=0))[:-1]

    @property
    def codes(self) -> int:
        """How many codes there are."""
        return sum(len(self.categories[column]) + 1 for column in self.coded)

    @property
    def width(self) -> int:
        """How many inputs the network gets."""
        atoms = sum(len(values) for _, values in self.atoms)
        one_hots = sum(len(self.categories[column]) for column in self.marked)
        calendar = len(self.dates) * (DATE_WAVES + WEEKDAYS)
        return len(self.median) + calendar + len(self.gaps) + atoms + one_hots + len(self.coded)

    @property
    def owners(self) -> npt.NDArray[np.int64]:
        """The raw column of each input behind those of the numbers themselves: first the numbers, then the texts."""
        numbers = len(self.median)
        dates = list(self.dates)
        atoms = [column for column, values in self.atoms for _ in values]
        one_hots = [numbers + column for column in self.marked for _ in self.categories[column]]
        weekdays = [column for column in dates for _ in range(WEEKDAYS)]
        coded = [numbers + column for column in self.coded]
        return np.array([*dates * DATE_WAVES, *self.gaps, *atoms, *weekdays, *one_hots, *coded], np.int64)

    def encode(self, rows: Rows) -> Array:
        """Encode rows of any part, shape (n, width)."""
        inputs = np.empty((len(rows), self.width), np.float32)
        start = 0
        for block in self.blocks(rows):
            inputs[start : start + len(block)] = block
            start += len(block)
        return inputs

    def blocks(self, rows: Rows) -> Iterator[Array]:
        """Encode rows of any part, some at a time, each time shape (some, width)."""
        meanings = [
            *((column, _one_hot_of(rows.vocabularies[column], self.categories[column])) for column in self.marked),
            *(
                (column, _codes_of(rows.vocabularies[column], self.categories[column], start))
                for column, start in zip(self.coded, self.code_starts, strict=True)
            ),
        ]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            numeric = rows.numeric[part]
            block = np.empty((len(numeric), self.width), np.float32)
            texts = [meaning[rows.codes[part, column]] for column, meaning in meanings]
            yield np.concatenate([*self._numbers(numeric), *texts], axis=1, out=block, casting="unsafe")

    def _numbers(self, numeric: Array) -> list[Array]:
        missing = np.isnan(numeric)
        numbers = np.where(missing, self.median, numeric)
        atoms = [numbers[:, [column]] == values for column, values in self.atoms]
        waves, weekdays = calendar(numbers[:, list(self.dates)])
        return [self.scaling.apply(numbers), waves, missing[:, list(self.gaps)], *atoms, weekdays]


def calendar(days: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
    """What a network is told of dates (n, c), days since 1970-01-01: season, hour and weekday.

    Four waves a column, (n, 4 c): sine and cosine of the season of every column, then of the hour of every column. And
    (n, 7 c), whether it is the weekday, from Monday on. Whole days are split off in 64 bits; `trainer.export` writes
    the same arithmetic.
    """
    shifted = np.clip(days, FIRST_DAY, LAST_DAY).astype(np.float64) - FIRST_DAY
    whole = shifted.astype(np.int64)
    years = shifted * (1 / YEAR)
    turns = np.concatenate([years - years.astype(np.int64), shifted - whole], axis=1).astype(np.float32)
    angles = turns * np.float32(2 * np.pi)
    repeated = np.repeat(whole, WEEKDAYS, axis=1)
    weeks = ((repeated + 0.5) * (1 / WEEKDAYS)).astype(np.int64)
    weekdays = repeated - weeks * WEEKDAYS == np.tile(np.arange(WEEKDAYS), days.shape[1])
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1), weekdays


def _one_hot_of(vocabulary: Sequence[str], known: Sequence[str]) -> Array:
    """One row per text of `vocabulary`, one column per known text."""
    return np.array([[text == category for category in known] for text in vocabulary], np.float32)


def _codes_of(vocabulary: Sequence[str], known: Sequence[str], start: int) -> Array:
    """One row per text of `vocabulary`: its code, which is `start` where it is not known."""
    codes = {text: code for code, text in enumerate(known, start=start + 1)}
    return np.array([[codes.get(text, start)] for text in vocabulary], np.float32)


def fit_encoder(
    rows: Rows,
    *,
    scaling: Kind = "robust",
    atoms: bool = True,
    one_hot: int = MOST_ONE_HOT,
    counts: Sequence[npt.NDArray[np.int64]] | None = None,
    codes: tuple[int, ...] = (),
) -> Encoder:
    """Fit the constants on training rows; where these are a sample, `counts` say by column how often each text stands
    in all of them. The numeric columns `codes` are encoded as categories: their number is no input, and each of their
    values is an atom.
    """
    median = np.array([np.median(values) if len(values) else 0.0 for values in _present(rows)], np.float32)
    return Encoder(
        median,
        fit_scaling(scaling, _present(rows, codes)),
        tuple(column for column, values in enumerate(rows.numeric.T) if np.isnan(values).any()),
        _atoms(rows, median, codes, repeated=atoms),
        _frequent_texts(rows, counts or count_texts(rows, np.arange(len(rows)))),
        one_hot,
        tuple(column for column, values in enumerate(_present(rows, codes)) if len(np.unique(values)) > 2),
        tuple(position for position, column in enumerate(rows.numbers) if column.kind == "date"),
        codes,
    )


def possible_codes(rows: Rows) -> tuple[int, ...]:
    """The numeric columns that may be codes of categories: whole numbers of 3 to `MOST_CODES` values in training rows.

    None of them where their inputs would be most of the table.
    """
    found, inputs = [], 0
    for column, (kind, values) in enumerate(zip(rows.numbers, _present(rows), strict=True)):
        distinct = np.unique(values)
        if kind.kind != "date" and 2 < len(distinct) <= MOST_CODES and not np.any(distinct % 1):
            found.append(column)
            inputs += len(distinct)
    return tuple(found) if inputs <= MOST_ATOMS else ()


def tells_by_rank(rows: Rows) -> bool:
    """Whether ranks may tell something else of the numbers than their scaled values: some column of training rows has
    more values than codes may have. Not where there are so many columns that their quantiles would fill memory.
    """
    if len(rows.numbers) > MOST_RANKED:
        return False
    columns = zip(rows.numbers, _present(rows), strict=True)
    return any(kind.kind != "date" and len(np.unique(values)) > MOST_CODES for kind, values in columns)


def _present(rows: Rows, without: tuple[int, ...] = ()) -> Iterator[npt.NDArray[np.float64]]:
    """The numbers of each column that are not missing, a column at a time; none of the columns `without`."""
    for column, values in enumerate(rows.numeric.T):
        yield values[~np.isnan(values) & (column not in without)].astype(np.float64)


def _atoms(rows: Rows, median: Array, codes: tuple[int, ...], *, repeated: bool) -> tuple[tuple[int, Array], ...]:
    """By column, the values that get an input of their own: all frequent ones of `codes`, and what others repeat."""
    found, coded = [], []
    for column, (numbers, middle) in enumerate(zip(rows.numeric.T, median, strict=True)):
        if not repeated and column not in codes:
            continue
        values = np.where(np.isnan(numbers), middle, numbers)
        distinct, counts = np.unique(values, return_counts=True)
        frequent = (column, distinct[counts >= _fewest(len(rows))])
        many = FEWEST_VALUES <= len(distinct) <= min(MOST_VALUES, len(values) / 20)
        if column in codes:
            coded.append(frequent)
        elif many and counts.max() >= COMMON * len(values):
            found.append((column, distinct[counts >= FEWEST_ROWS]))
    kept = found if sum(len(values) for _, values in found) <= MOST_ATOMS else []
    return tuple(sorted([*kept, *coded], key=itemgetter(0)))


def _fewest(rows: int) -> int:
    """How many of the training rows must hold a value that is to be learned from; in a small table one is enough."""
    return FEWEST_ROWS if rows > FEW_EXAMPLES else 1


def count_texts(rows: Rows, train: Indices) -> list[npt.NDArray[np.int64]]:
    """By column, how many of the training rows hold each text of its vocabulary."""
    counts = [np.zeros(len(vocabulary), np.int64) for vocabulary in rows.vocabularies]
    for start in range(0, len(train), ROWS_AT_ONCE):
        for count, codes in zip(counts, rows.codes[train[start : start + ROWS_AT_ONCE]].T, strict=True):
            count += np.bincount(codes, minlength=len(count))
    return counts


def _frequent_texts(rows: Rows, held: Sequence[npt.NDArray[np.int64]]) -> tuple[tuple[str, ...], ...]:
    """The texts of each column that are frequent enough to learn from; in a small table, all."""
    fewest = _fewest(len(rows))
    known = []
    for vocabulary, numbers in zip(rows.vocabularies, held, strict=True):
        counts = dict(zip(vocabulary, numbers.tolist(), strict=True))
        counts.pop(RARE, None)
        # Where every text is rare, the commonest are kept all the same: a column must not vanish.
        enough = min(fewest, max(counts.values(), default=0))
        known.append(tuple(text for text, count in counts.items() if count >= enough))
    return tuple(known)


def describe_features(
    rows: Rows, train: Indices | slice = slice(None), codes: tuple[int, ...] = ()
) -> tuple[Feature, ...]:
    """The features as the card lists them, with the ranges and categories of the training rows, in table order.

    The numeric columns `codes` are those that are encoded as categories.
    """
    places = np.arange(len(rows))[train] if isinstance(train, slice) else train
    numbers, counts = _ranges(rows, places), zip(rows.vocabularies, count_texts(rows, places), strict=True)
    coded = {rows.numbers[place].name: _distinct(rows.numeric[places, place]) for place in codes}
    features: list[Feature] = []
    for column in rows.columns:
        named = {"name": column.name, "nullable": column.nullable, "reading": column.reading}
        if column.kind == "categorical":
            seen = [text for text, count in zip(*next(counts), strict=True) if count]
            known = tuple(text for text in seen if text not in ("", RARE))
            features.append(CategoricalFeature(**named, seen_missing="" in seen, categories=known))
            continue
        ends, gaps = next(numbers)
        low, high = map(shortest_decimal, ends)
        kind = DateFeature if column.kind == "date" else NumericFeature
        own = {"codes": coded[column.name]} if column.name in coded else {}
        features.append(kind(**named, seen_missing=gaps, minimum=low, maximum=high, **own))
    return tuple(features)


def _distinct(values: Array) -> tuple[float, ...]:
    """The numbers of a column, each once, ascending."""
    return tuple(map(shortest_decimal, np.unique(values[~np.isnan(values)])))


def _ranges(rows: Rows, train: Indices) -> Iterator[tuple[tuple[np.float32, np.float32], bool]]:
    """The lowest and the highest number of each column, 0 where there is none, and whether one is missing."""
    ends: list[list[np.float32]] = [[] for _ in rows.numbers]
    gaps = np.zeros(len(ends), np.bool_)
    # Some rows at a time: a copy of all would be most of the table, which may be larger than memory.
    together = max(ROWS_AT_ONCE, CELLS_AT_ONCE // max(1, len(ends)))
    for start in range(0, len(train), together):
        numeric = rows.numeric[train[start : start + together]]
        missing = np.isnan(numeric)
        gaps |= missing.any(axis=0)
        for column, nothing, found in zip(numeric.T, missing.T, ends, strict=True):
            present = column[~nothing]
            found += [present.min(), present.max()] if len(present) else []
    found_ends = ((min(found), max(found)) if found else (np.float32(0), np.float32(0)) for found in ends)
    return zip(found_ends, gaps.tolist(), strict=True)
