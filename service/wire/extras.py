"""What a row holds beside the features of a model: refused, or passed over, counted and warned of."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from service.prediction.predictor import Predictor
from service.prediction.protocol import Allowance
from service.rows.reader import Chunk, Grow, Rows
from service.rows.rules import LONGEST_ECHO
from service.rows.warnings import MOST_WARNINGS
from service.wire.refusals import shapeless

HEADER = "HTTP_X_EXTRA"
IGNORE, REFUSE = "ignore", "refuse"


class Reader(Protocol):
    """What reads rows, as `RowReader` does."""

    def read(self, rows: Sequence[Any], may_hold_booleans: bool = True) -> Rows: ...

    def read_chunks(self, chunks: Iterable[Chunk], grow: Grow) -> Rows | None: ...


class Extras:
    """Reads the rows of one request, without what is no feature."""

    def __init__(self, predictor: Predictor, reader: Reader | None = None) -> None:
        self._features = frozenset(feature.name for feature in predictor.card.features)
        self._reader = predictor.rows if reader is None else reader
        # By name the first row that has it, and how many rows have; None where it is a column.
        self._found: dict[str, tuple[int, int | None]] = {}
        # How many rows were before those that are read now.
        self._rows = 0

    def read(self, rows: Sequence[Any], may_hold_booleans: bool = True) -> Rows:
        """Check rows, at least one."""
        return self.warned(self._reader.read(self._without(rows), may_hold_booleans))

    def read_chunks(self, chunks: Iterable[Chunk], grow: Grow) -> Rows | None:
        """Check many rows, some at a time; None where there are none."""

        def count(rows: int, more: int) -> None:
            self._rows = rows
            grow(rows, more)

        # What is read from its text has places, and no names.
        own = (Chunk(partial(self._of, chunk), chunk.may_hold_booleans, chunk.text) for chunk in chunks)
        rows = self._reader.read_chunks(own, count)
        return rows and self.warned(rows)

    def pass_over(self, columns: Iterable[Any]) -> None:
        """Some of these columns may be no features."""
        for name in columns:
            if isinstance(name, str) and name not in self._features:
                self._note(name, 0, None)

    def warned(self, rows: Rows) -> Rows:
        """Rows with a warning of each name that was passed over, at the first row that has it."""
        for name, (first, count) in self._found.items():
            how_often = "" if count is None else f" in {count} {'row' if count == 1 else 'rows'}"
            message = f"is not a feature of this model; it was passed over{how_often}"
            rows.warnings.add(first, {"feature": name[:LONGEST_ECHO], "code": "extra_feature", "message": message})
        self._found.clear()
        return rows

    def _of(self, chunk: Chunk) -> Sequence[Any]:
        return self._without(chunk.rows())

    def _without(self, rows: Sequence[Any]) -> list[Any]:
        features = self._features
        kept = []
        for place, row in enumerate(rows, self._rows):
            # Where a feature is missing, another may be meant for it: what it is called is told as that.
            if isinstance(row, dict) and len(row) > len(features) and features <= row.keys():
                for name in row:
                    if name not in features:
                        self._note(name, place, 1)
                row = {name: value for name, value in row.items() if name in features}
            kept.append(row)
        return kept

    def _note(self, name: str, place: int, more: int | None) -> None:
        first, count = self._found.get(name, (place, 0))
        # Of more names than are told, nothing is kept.
        if name in self._found or len(self._found) <= MOST_WARNINGS:
            self._found[name] = first, None if more is None or count is None else count + more


def reader_of(
    predictor: Predictor, environ: Mapping[str, Any], allowance: Allowance, reader: Reader | None = None
) -> Reader:
    """What reads the rows of a request, by means of `reader`, as its header X-Extra says or, without one, the setting.

    :raises InvalidRecord: the header says something else.
    """
    said = environ.get(HEADER)
    if said is not None and said not in (IGNORE, REFUSE):
        raise shapeless(f'the header X-Extra must be "{IGNORE}" or "{REFUSE}"')
    if said == IGNORE or (said is None and allowance.ignore_extras):
        return Extras(predictor, reader)
    return predictor.rows if reader is None else reader
