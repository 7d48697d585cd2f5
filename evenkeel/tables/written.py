"""The file of answers: the columns of a table as they stand, and those of the answers behind them.

The only module of this package that knows pyarrow.
"""

import gzip
import json
import os
import re
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from models.replacing import replacing
from trainer.data.arrow import array, scalar, strings
from trainer.data.parsing import ArrowTable
from trainer.errors import InvalidSetting

OTHERS = {".xlsx", ".xls", ".ods", ".zst", ".feather", ".arrow", ".json", ".jsonl", ".html", ".zip", ".bz2", ".xz"}
COMPRESSION = 4
# Rows of Parquet that are written together.
GROUP_ROWS = 1 << 16


class Answers(NamedTuple):
    """Of n rows: the place of each label among the classes (n,), probabilities (n, classes), whether a row was answered
    (n,), and what there is to say of it; of a model with sets, which classes are in each, (n, classes).
    """

    labels: npt.NDArray[np.intp]
    probabilities: npt.NDArray[np.float32]
    answered: npt.NDArray[np.bool_]
    remarks: list[str]
    members: npt.NDArray[np.bool_] | None = None


class Writer(Protocol):
    """Writes rows and their answers."""

    def write(self, rows: ArrowTable, answers: Answers) -> None: ...


class Columns:
    """The columns of the answers. Where one would be called as one of the table's is, all of them get a prefix."""

    def __init__(self, taken: Sequence[str], classes: Sequence[str], *, with_sets: bool = False) -> None:
        sets = ["set"] if with_sets else []
        names = ["label", "probability", *(f"probability_{label}" for label in classes), *sets, "warnings"]
        while set(names) & set(taken):
            names = [f"predicted_{name}" for name in names]
        self.names, self._classes = names, strings(classes)
        self.classes, self.with_sets = tuple(classes), with_sets

    def beside(self, rows: ArrowTable, answers: Answers) -> ArrowTable:
        """Rows with their answers; a row that was not answered has empty cells."""
        silent = ~answers.answered
        labels = self._classes.take(array(answers.labels, silent))
        best = np.take_along_axis(answers.probabilities, answers.labels[:, None], axis=1)[:, 0]
        numbers = [array(column.astype(np.float32, copy=False), silent) for column in (best, *answers.probabilities.T)]
        remarks = strings(answers.remarks)
        for name, column in zip(self.names, (labels, *numbers, *self._sets(answers), remarks), strict=True):
            rows = rows.append_column(name, column)
        return rows

    def _sets(self, answers: Answers) -> list[pa.Array]:
        """The column of the sets, each as a list in JSON; few of all that are possible occur."""
        if answers.members is None:
            return []
        kinds, which = np.unique(answers.members, axis=0, return_inverse=True)
        texts = [json.dumps(named(kind, self.classes), ensure_ascii=False) for kind in kinds]
        return [strings(texts).take(array(which.ravel(), ~answers.answered))]


def named(members: npt.NDArray[np.bool_], classes: Sequence[str]) -> tuple[str, ...]:
    """The classes of one set (classes,)."""
    return tuple(label for label, inside in zip(classes, members.tolist(), strict=True) if inside)


def check_output(output: Path | None, table: Path) -> None:
    """Refuse to write where the table is read from, by whatever name, or what cannot be written.

    :raises InvalidSetting: that was asked for.
    """
    try:
        target = os.fstat(sys.stdout.fileno()) if output is None else output.stat()
        same = stat.S_ISREG(target.st_mode) and os.path.samestat(table.stat(), target)
    except (OSError, ValueError):
        same = False
    if same:
        raise InvalidSetting(f"{table} would be written over while it is read; name another file with --output")
    if output is not None and output.suffix.lower() in OTHERS:
        raise InvalidSetting(f"{output} should end with .csv, .csv.gz or .parquet, which are the formats it can have")
    if output is not None and output.is_dir():
        raise InvalidSetting(f"{output} is a folder; name a file in it")


@contextmanager
def writing(output: Path | None, empty: ArrowTable, columns: Columns, delimiter: str) -> Iterator[Writer]:
    """Write a file by the format of its name; without one, CSV on stdout. It is there when it is whole, and not before.

    `empty` is a table of the rows' columns without a row; `delimiter` that of CSV.

    :raises OSError: it cannot be written.
    """
    if output is None:
        yield _Csv(_Stdout(), empty, columns, delimiter)
        return
    with _opened(output) as file:
        match output.suffix.lower():
            case ".parquet":
                with _Parquet(file, empty, columns) as writer:
                    yield writer
            case ".gz":
                with gzip.GzipFile("", "wb", COMPRESSION, file, mtime=0) as packed:
                    yield _Csv(packed, empty, columns, delimiter)
            case _:
                yield _Csv(file, empty, columns, delimiter)


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    """What is no regular file, such as a pipe, is written as it is; a link stays one."""
    if output.exists() and not output.is_file():
        with output.open("wb") as file:
            yield file
        return
    with replacing(output.resolve()) as file:
        yield file


class _Sink(Protocol):
    def write(self, data: bytes, /) -> Any: ...


class _Stdout:
    def write(self, data: bytes) -> None:
        stdout: Any = sys.stdout
        if hasattr(stdout, "write_bytes"):
            stdout.write_bytes(data)
        else:
            stdout.buffer.write(data)


class _Csv:
    def __init__(self, file: _Sink, empty: ArrowTable, columns: Columns, delimiter: str) -> None:
        self._file, self._columns, self._delimiter = file, columns, delimiter
        header = [strings([name]) for name in (*empty.column_names, *columns.names)]
        file.write(_lines(header, delimiter))

    def write(self, rows: ArrowTable, answers: Answers) -> None:
        table = self._columns.beside(rows, answers)
        self._file.write(_lines([_spelled(_whole(column)) for column in table.columns], self._delimiter))


class _Parquet:
    def __init__(self, file: BinaryIO, empty: ArrowTable, columns: Columns) -> None:
        self._columns, self._waiting = columns, [columns.beside(empty, _nothing(columns))]
        self._writer = parquet.ParquetWriter(file, self._waiting[0].schema)

    def __enter__(self) -> "_Parquet":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def write(self, rows: ArrowTable, answers: Answers) -> None:
        self._waiting.append(self._columns.beside(rows, answers))
        if sum(table.num_rows for table in self._waiting) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting = self._waiting[:1]


def _nothing(columns: Columns) -> Answers:
    classes = len(columns.classes)
    members = np.empty((0, classes), np.bool_) if columns.with_sets else None
    return Answers(np.empty(0, np.intp), np.empty((0, classes), np.float32), np.empty(0, np.bool_), [], members)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The cells of a column in one piece; most are one already, and are not copied."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _spelled(cells: pa.Array) -> pa.StringArray:
    """The cells of a column as texts."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    try:
        return cells.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        # Lists, records, bytes: as Python spells them.
        return pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())


def _lines(columns: Sequence[pa.StringArray], delimiter: str) -> bytes:
    """Rows of CSV, from columns of texts."""
    quoted = [_quoted(column, ('"', "\r", "\n", delimiter)) for column in columns]
    rows = pc.binary_join_element_wise(*quoted, scalar(delimiter), null_handling="replace", null_replacement="")
    lines = pc.binary_join_element_wise(rows, scalar(""), scalar("\n"))
    _, offsets, data = lines.buffers()
    if data is None:
        return b""
    ends = np.frombuffer(offsets, np.int32)
    written: bytes = data.slice(int(ends[lines.offset]), int(ends[lines.offset + len(lines)])).to_pybytes()
    return written


def _quoted(texts: pa.StringArray, special: Sequence[str]) -> pa.StringArray:
    """The same, with quotes around texts that hold one of some characters."""
    data = texts.buffers()[2]
    together = b"" if data is None else data.to_pybytes()
    # Most columns have no such character at all, which is quickly seen.
    if not any(one.encode() in together for one in special):
        return texts
    pattern = f"[{''.join(map(re.escape, special))}]"
    inside = pc.binary_join_element_wise(scalar('"'), pc.replace_substring(texts, '"', '""'), scalar('"'), scalar(""))
    return pc.if_else(pc.match_substring_regex(texts, pattern), inside, texts)
