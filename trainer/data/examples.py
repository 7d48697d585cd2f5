"""From a decoded table and a settled schema to features and target. A cell that its column forbids is refused."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from models.cells import BLANKS, FALSE, TRUE, Reading, without_spelling
from models.features import FLOAT32_MAX
from trainer.arrays import Array, Codes, Labels
from trainer.data.columns import NumberCells, Numbers, TextCells
from trainer.data.decoded import Decoded
from trainer.data.rows import LARGEST_VOCABULARY, RARE, Column, Rows
from trainer.data.schema import Schema
from trainer.data.wording import note, refusal

# Fewer classes than this may all be single rows: that is a small table, and the split says so.
MANY_CLASSES = 10
NOTHING: Mapping[str, Collection[str]] = MappingProxyType({})


def columns_of(decoded: Decoded, schema: Schema) -> tuple[Column, ...]:
    """The features: every column that is not ignored.

    :raises InvalidTable: a column is no boolean, though the schema says so.
    """
    return tuple(_column(decoded, name, schema) for name, one in schema.columns.items() if one.kind != "ignored")


def to_rows(decoded: Decoded, columns: tuple[Column, ...], known: Mapping[str, Collection[str]] = NOTHING) -> Rows:
    """Read the cells of the features.

    :param known: by column, the texts that a vocabulary keeps however rare they are here; of others the commonest.
    :raises InvalidTable: a cell is of another kind than its column, or does not fit in 32 bits.
    """
    texts = sum(column.kind == "categorical" for column in columns)
    numeric = np.empty((decoded.rows, len(columns) - texts), np.float32)
    codes = np.empty((decoded.rows, texts), np.int32)
    into_numbers, into_codes = iter(numeric.T), iter(codes.T)
    vocabularies = []
    for column in columns:
        if column.kind == "categorical":
            vocabularies.append(_fill_codes(next(into_codes), decoded, column, known.get(column.name, ())))
        else:
            fill_numbers(next(into_numbers), decoded, column)
    return Rows(columns, numeric, codes, tuple(vocabularies))


def _column(decoded: Decoded, name: str, schema: Schema) -> Column:
    """What a column is to the network: a boolean of 0 and 1 is a number, any other boolean a category.

    :raises InvalidTable: a boolean column holds more than two texts, or numbers that are not 0 and 1.
    """
    kind, reading = schema.columns[name].kind, schema.reading(name)
    nullable = not schema.columns[name].required
    if kind != "boolean":
        assert kind != "ignored"
        return Column(name, kind, nullable, reading)
    boolean = _boolean(decoded, name, reading)
    numeric = boolean == ("0", "1")
    return Column(
        name, "numeric" if numeric else "categorical", nullable, reading.model_copy(update={"boolean": boolean})
    )


def _boolean(decoded: Decoded, name: str, reading: Reading) -> tuple[str, str] | None:
    """The texts that stand for false and true, the commonest of each; None where two texts are no words for these."""
    cells = decoded.cells(name)
    if isinstance(cells, NumberCells):
        values = cells.numbers(reading)
        other = ~np.isnan(values) & (values != 0) & (values != 1)
        if other.any():
            place = decoded.place(int(np.argmax(other)))
            raise refusal("no_boolean", place=place, name=name, number=values[other][0])
        return "0", "1"
    present = np.flatnonzero(~cells.missing(reading.missing))
    present = present[np.argsort(-cells.counts()[present], kind="stable")]
    texts = cells.spelled(present)
    if set(texts) <= {"0", "1"}:
        return "0", "1"
    sides = [[text for text in texts if text.strip(BLANKS).lower() in words] for words in (FALSE, TRUE)]
    if sum(map(len, sides)) == len(texts) and all(sides):
        return sides[0][0], sides[1][0]
    if len(texts) > 2:
        third = min(present[2:])
        place = decoded.place(cells.first_row(int(third)))
        raise refusal("third_text", place=place, name=name, text=cells.spelled(np.array([third]))[0])
    return None


def fill_numbers(into: Array, decoded: Decoded, column: Column) -> None:
    """Write the numbers, or the days, of a column into an array of shape (n,), NaN where missing.

    :raises InvalidTable: a cell is no number or no date, or too large for 32 bits.
    """
    cells, dates = decoded.cells(column.name), column.kind == "date"
    if isinstance(cells, NumberCells) and dates and not cells.dates:
        cells = cells.as_texts()
    numbers = _read_texts(decoded, cells, column) if isinstance(cells, TextCells) else cells.numbers(column.reading)
    too_large = np.flatnonzero(np.abs(numbers) > FLOAT32_MAX)
    if len(too_large):
        place = decoded.place(cells.first_row(int(too_large[0])))
        raise refusal("too_large", place=place, name=column.name, number=numbers[too_large[0]])
    cells.spread(numbers.astype(np.float32), np.float32(np.nan), into)


def _read_texts(decoded: Decoded, cells: TextCells, column: Column) -> Numbers:
    present = ~cells.missing(column.reading.missing)
    read = cells.days if column.kind == "date" else cells.numbers
    numbers = read(present, column.reading)
    unread = np.flatnonzero(present & np.isnan(numbers))
    if len(unread):
        (text,) = cells.spelled(unread[:1])
        place = decoded.place(cells.first_row(int(unread[0])))
        code = "no_date" if column.kind == "date" else "no_number"
        raise refusal(code, place=place, name=column.name, text=text, quoted=f'"{text}"')
    return numbers


def _fill_codes(into: Codes, decoded: Decoded, column: Column, known: Collection[str]) -> tuple[str, ...]:
    """Write the codes of a column into an array of shape (n,), and return its vocabulary."""
    cells = _as_texts(decoded, column.name)
    counts = cells.counts()
    present = np.flatnonzero(~cells.missing(column.reading.missing))
    kept = present
    if len(present) > LARGEST_VOCABULARY:
        # In doubt, the text that stands first in the file.
        first = np.array([column.reading.category(text) in known for text in cells.spelled(present)])
        order = np.lexsort((-counts[present], ~first))
        kept = present[order[: max(LARGEST_VOCABULARY, int(first.sum()))]]
    spelled = [column.reading.category(text) for text in cells.spelled(kept)]
    gaps = len(present) < len(cells) or counts[-1] > 0
    vocabulary = sorted({*spelled, *([""] if gaps else []), *([RARE] if len(kept) < len(present) else [])})
    position = {text: code for code, text in enumerate(vocabulary)}
    meaning = np.full(len(cells), position.get("", -1), np.int32)
    meaning[present] = position.get(RARE, -1)
    meaning[kept] = [position[text] for text in spelled]
    cells.spread(meaning, np.int32(position.get("", -1)), into)
    return tuple(vocabulary)


def _as_texts(decoded: Decoded, name: str) -> TextCells:
    cells = decoded.cells(name)
    return cells.as_texts() if isinstance(cells, NumberCells) else cells


def read_labels(decoded: Decoded, target: str, schema: Schema) -> tuple[Labels, tuple[str, ...], str | None]:
    """The class of each row, -1 where it is missing, what the classes are called, and a note about their spelling.

    :raises InvalidTable: there are no two classes, or as many as there are rows.
    """
    cells = _as_texts(decoded, target)
    known = ~cells.missing(schema.missing)
    counts = cells.counts()[:-1]
    spelled = dict(zip(np.flatnonzero(known).tolist(), cells.spelled(np.flatnonzero(known)), strict=True))
    if not spelled:
        raise refusal("no_target", path=decoded.path, name=target)
    spellings: dict[str, list[int]] = {}
    for code in sorted(spelled, key=lambda code: -counts[code]):
        spellings.setdefault(without_spelling(spelled[code]), []).append(code)
    alike = [codes for codes in spellings.values() if len(codes) > 1]
    remark = None
    if schema.merge_spellings:
        spelled = {code: spelled[codes[0]].strip(BLANKS) for codes in spellings.values() for code in codes}
    elif alike:
        groups = (" and ".join(f"'{spelled[code][:40]}' {counts[code]}" for code in codes) for codes in alike[:5])
        remark = note("classes", ", ".join(groups))
    classes = tuple(sorted(set(spelled.values())))
    rows = int(counts[known].sum())
    if len(classes) < 2:
        raise refusal("one_class", path=decoded.path, name=target, text=classes[0])
    if len(classes) > MANY_CLASSES and rows < 2 * len(classes):
        raise refusal("no_class", path=decoded.path, name=target, classes=len(classes), rows=rows)
    position = {text: label for label, text in enumerate(classes)}
    meaning = np.full(len(cells), -1)
    meaning[list(spelled)] = [position[text] for text in spelled.values()]
    labels = np.empty(decoded.rows, np.int64)
    cells.spread(meaning, np.int64(-1), labels)
    return labels, classes, remark


def read_weights(decoded: Decoded, name: str, missing: Sequence[str], labelled: npt.NDArray[np.bool_]) -> Array:
    """How much each row counts, shape (n,).

    :raises InvalidTable: a weight is missing or negative, or all are 0.
    """
    weights = weights_of(decoded, name, missing, labelled)
    if not (weights[labelled] > 0).any():
        raise refusal("no_weight", path=decoded.path, name=name)
    return weights


def weights_of(decoded: Decoded, name: str, missing: Sequence[str], labelled: npt.NDArray[np.bool_]) -> Array:
    """How much each row counts, shape (n,); all of them may be 0.

    :raises InvalidTable: a weight is missing or negative.
    """
    weights = np.empty(decoded.rows, np.float32)
    fill_numbers(weights, decoded, Column(name, "numeric", reading=Reading(missing=tuple(missing))))
    unfit = labelled & ~(weights >= 0)
    if unfit.any():
        row = int(np.argmax(unfit))
        found = "missing" if np.isnan(weights[row]) else weights[row]
        raise refusal("weight", place=decoded.place(row), name=name, found=found)
    return weights
