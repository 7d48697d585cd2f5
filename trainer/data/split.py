"""Train, validation and test: at random with each class's share kept, by groups, by time, or as a column says.

Where there are to be prediction sets, a fourth part chooses their threshold, and nothing else.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainer.arrays import Labels
from trainer.data.division import PARTS, Division
from trainer.data.hashing import mixed
from trainer.data.rows import Examples
from trainer.data.wording import refusal
from trainer.mapped import Growing

FEWEST_ROWS = 10
# Of a long table no more rows are held out for a part than these, or of a wide one than have so many cells.
MOST_HELD, MOST_HELD_CELLS = 500_000, 20_000_000
ROWS_AT_ONCE = 1 << 16

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """The rows that one network learns from, and those that choose its epoch."""

    train: Indices
    validation: Indices


@dataclass(frozen=True, eq=False)
class Split:
    """One fold a network, and the test rows, which are in no fold and are looked at once.

    The rows that the `sets` are chosen on are in none of these.
    """

    folds: tuple[Fold, ...]
    test: Indices
    sets: Indices = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def learning(self) -> Indices:
        """What the networks learn from, and what chooses their epochs: all but the rows of the test and of the sets."""
        return _union([part for fold in self.folds for part in (fold.train, fold.validation)])

    @property
    def train(self) -> Indices:
        """Every row that some network learns from. Whatever is fitted, is fitted on these."""
        first, *others = self.folds
        return _union([fold.train for fold in self.folds]) if others else first.train


def split(
    examples: Examples,
    validation: float,
    test: float,
    rng: np.random.Generator,
    members: int = 1,
    division: Division | None = None,
    sets: float = 0.0,
) -> Split:
    """Split by a column's `division`, else at random; `validation`, `test` and `sets` are shares of the whole.

    :raises InvalidTable: too few rows, groups or times for all parts, or a part that is named nowhere.
    """
    if len(examples) < FEWEST_ROWS:
        raise refusal("few_rows", rows=len(examples), fewest=FEWEST_ROWS)
    if examples.long and (division is None or division.by == "group"):
        return _by_hash(examples, validation, test, sets, rng, members, division)
    if division is None:
        return _at_random(examples, validation, test, sets, rng, members)
    if division.by == "group":
        return _by_group(division, validation, test, sets, rng, members)
    if division.by == "time":
        return _by_time(division, validation, test, sets, members)
    return _as_named(division, test, sets, members)


def for_sets(labels: Labels, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Which rows (n,) the sets are chosen on: drawn whatever their class, for that is how rows will be asked about.

    Only of a class that no row would be left of, one is given back.
    """
    chosen = np.zeros(len(labels), np.bool_)
    if share:
        order = rng.permutation(len(labels))
        chosen[order[: round(share * len(labels))]] = True
        classes, first = np.unique(labels[order], return_index=True)
        chosen[order[first[~np.isin(classes, labels[~chosen])]]] = False
    return chosen


def _at_random(
    examples: Examples, validation: float, test: float, sets: float, rng: np.random.Generator, members: int
) -> Split:
    """Split at random, but for the rows of the sets class by class.

    The validation rows of several members follow each other through the rows of a class, and start again at the first:
    no row is a member's validation row twice before all have been once. A class always keeps at least one row for
    training, so no part holds a class that training has not seen.
    """
    for_test: list[Indices] = []
    for_train: list[list[Indices]] = [[] for _ in range(members)]
    for_validation: list[list[Indices]] = [[] for _ in range(members)]
    kept, rest = for_sets(examples.labels, sets, rng), 1 - sets
    for label in range(len(examples.classes)):
        shuffled = rng.permutation(np.flatnonzero((examples.labels == label) & ~kept))
        spare = len(shuffled) - 1
        tested = min(round(test / rest * len(shuffled)), spare)
        validated = min(round(validation / rest * len(shuffled)), spare - tested)
        for_test.append(shuffled[:tested])
        for member in range(members):
            turned = np.roll(shuffled[tested:], -member * validated)
            for_validation[member].append(turned[:validated])
            for_train[member].append(turned[validated:])
    folds = tuple(map(Fold, map(_sorted, for_train), map(_sorted, for_validation)))
    chosen = Split(folds, _sorted(for_test), np.flatnonzero(kept))
    if (validation and not len(folds[0].validation)) or (test and not len(chosen.test)):
        raise refusal("few_of_class")
    return chosen


def _by_hash(
    examples: Examples,
    validation: float,
    test: float,
    sets: float,
    rng: np.random.Generator,
    members: int,
    division: Division | None,
) -> Split:
    """Split a long table by a hash of each row's number, or of its group: no row is moved by those that follow it.

    The validation rows of several members follow each other as in a split at random. Of the rows of a class, unless
    groups are to stay together, the first is a training row. A part has no more than `MOST_HELD` rows.
    """
    salt, rows = np.uint64(rng.integers(1 << 62)), len(examples)
    most = min(MOST_HELD, MOST_HELD_CELLS // max(len(examples.rows.columns), len(examples.classes))) / rows
    test, validation, sets = min(test, most), min(validation, most), min(sets, most)
    for_test, kept, held = Places(), Places(), test + sets
    for_train, for_validation = ([Places() for _ in range(members)] for _ in range(2))
    unseen = np.full(len(examples.classes), division is None)
    for start in range(0, rows, ROWS_AT_ONCE):
        places = np.arange(start, min(start + ROWS_AT_ONCE, rows))
        keys = (places if division is None else division.values[places]).astype(np.uint64)
        share = mixed(np.full(len(places), salt), keys) / 2.0**64
        classes, first = np.unique(examples.labels[places], return_index=True)
        share[first[unseen[classes]]] = np.nan  # Neither below nor above anything.
        unseen[classes] = False
        for_test.append(places[share < test])
        kept.append(places[(share >= test) & (share < held)])
        rest = ~(share < held)
        for member in range(members):
            validated = (share - held - member * validation) % (1 - held) < validation
            for_validation[member].append(places[rest & validated])
            for_train[member].append(places[rest & ~validated])
    folds = (Fold(one.done(), other.done()) for one, other in zip(for_train, for_validation, strict=True))
    chosen = Split(tuple(folds), for_test.done(), kept.done())
    held_by = [(fold.validation, validation) for fold in chosen.folds]
    for part, wanted in ((chosen.test, test), (chosen.sets, sets), *held_by):
        if wanted and not len(part):
            raise refusal("few_of_class")
    return chosen


class Places:
    """The places of the rows of a part, which may be too many for memory: in a file."""

    def __init__(self) -> None:
        self._file = Growing(1, np.int64)

    def append(self, places: Indices) -> None:
        self._file.append(places[:, np.newaxis])

    def done(self) -> Indices:
        with self._file:
            return self._file.mapped()[:, 0]


def _union(parts: list[Indices]) -> Indices:
    """The rows of any of the parts, in order; a byte a row beside them."""
    chosen = np.zeros(max((int(part.max()) + 1 for part in parts if len(part)), default=0), np.bool_)
    for part in parts:
        chosen[part] = True
    return np.flatnonzero(chosen)


def _sorted(chosen: list[Indices]) -> Indices:
    return np.sort(np.concatenate(chosen))


def _by_group(
    division: Division, validation: float, test: float, sets: float, rng: np.random.Generator, members: int
) -> Split:
    """Put whole groups into the parts, at random; each member has validation groups of its own."""
    _, groups, sizes = np.unique(division.values, return_inverse=True, return_counts=True)
    parts = 2 + bool(test) + bool(sets)
    if len(sizes) < parts:
        raise refusal("few_groups", name=division.column, groups=len(sizes), parts=parts)
    everything = np.arange(len(sizes))
    tested = _fill(rng.permutation(everything), sizes, test * len(groups), spare=parts - 1)
    rest = np.setdiff1d(everything, tested)
    kept = _fill(rng.permutation(rest), sizes, sets * len(groups), spare=2) if sets else rest[:0]
    rest = np.setdiff1d(rest, kept)
    folds = []
    for _ in range(members):
        validated = _fill(rng.permutation(rest), sizes, validation * len(groups), spare=1)
        is_train, is_validation = (np.isin(groups, part) for part in (np.setdiff1d(rest, validated), validated))
        folds.append(Fold(np.flatnonzero(is_train), np.flatnonzero(is_validation)))
    return Split(tuple(folds), *(np.flatnonzero(np.isin(groups, part)) for part in (tested, kept)))


def _fill(order: Indices, sizes: Indices, wanted: float, spare: int) -> Indices:
    """The groups, one after the other, that bring a part nearer to its size; one at least, and `spare` ones left."""
    if not wanted:
        return order[:0]
    taken: list[int] = []
    rows = 0
    for group in order:
        if len(taken) < len(order) - spare and abs(rows + sizes[group] - wanted) <= abs(rows - wanted):
            taken.append(group)
            rows += sizes[group]
    return np.array(taken or [order[np.argmin(sizes[order])]])


def _by_time(division: Division, validation: float, test: float, sets: float, members: int) -> Split:
    """The newest rows for the test, those before them for the sets and then for validation; rows of the same time stay
    together.
    """
    order = np.argsort(division.values, kind="stable")
    rows = len(order)
    cuts = np.flatnonzero(np.diff(division.values[order])) + 1
    parts = 2 + bool(test) + bool(sets)
    if len(cuts) < parts - 1:
        raise refusal("few_times", name=division.column, times=len(cuts) + 1)
    newest = _nearest(cuts[parts - 2 :], rows * (1 - test)) if test else rows
    newer = _nearest(cuts[cuts < newest][1:], rows * (1 - test - sets)) if sets else newest
    middle = _nearest(cuts[cuts < newer], rows * (1 - test - sets - validation))
    train, validated, kept, tested = (np.sort(part) for part in np.split(order, [middle, newer, newest]))
    return Split((Fold(train, validated),) * members, tested, kept)


def _nearest(cuts: Indices, wanted: float) -> int:
    return int(cuts[np.argmin(np.abs(cuts - wanted))])


def _as_named(division: Division, test: float, sets: float, members: int) -> Split:
    """As the column says, whatever the shares."""
    train, validation, tested, kept = (np.flatnonzero(division.values == part) for part in range(len(PARTS)))
    needed = {"test": test, "coverage": sets}
    for name, part in zip(PARTS, (train, validation, tested, kept), strict=True):
        if not len(part) and needed.get(name, True):
            raise refusal("empty_part", name=division.column, part=name)
    if len(tested) and not test:
        raise refusal("test_twice", name=division.column)
    if len(kept) and not sets:
        raise refusal("no_coverage", name=division.column)
    return Split((Fold(train, validation),) * members, tested, kept)
