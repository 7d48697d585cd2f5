"""A table that is longer than the memory that it gets, in each form that it may have."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from trainer.data.rows import Examples
from trainer.data.table import Table

# So little that even the penguins do not fit.
TINY = ("--memory", "20k")
# What the rows take of the table below, which is not enough for its cells.
FITS = ("--memory", "1700k")
SHORT = ("--epochs", "3", "--members", "2", "--jobs", "1")
ROWS = 40_000
HEADER = "x,b,k,w,y\n"


def lines(rows: int = ROWS) -> list[str]:
    """More than one block of CSV, of Parquet too: a number with gaps, texts of which some are rare, and a weight."""
    rng = np.random.default_rng(0)
    numbers, texts, classes = rng.normal(size=rows), rng.integers(0, 1500, rows) ** 2 // 1500, rng.integers(0, 3, rows)
    return [
        f"{'' if at % 7 == 0 else f'{number:.6f}'},{'yes' if number > 0 else 'no'},text {text} of a column,"
        f"{at % 3},{'abc'[label] if at % 11 else ''}\n"
        for at, (number, text, label) in enumerate(zip(numbers, texts, classes, strict=True))
    ]


def written(form: str, content: str, folder: Path) -> Path:
    """The table in a file or a folder of files."""
    path, data = folder / f"table.{form}", content.encode()
    if form == "parquet":
        parquet.write_table(arrow_csv.read_csv(pa.BufferReader(data)), path, row_group_size=9000)
    elif form == "folder":
        path.mkdir()
        header, *rows = content.splitlines(keepends=True)
        for part in range(3):
            (path / f"{part}.csv").write_text(header + "".join(rows[part * 15_000 : (part + 1) * 15_000]))
    else:
        pack: dict[str, Callable[[bytes], bytes]] = {
            "csv": bytes,
            "gz": gzip.compress,
            "zst": lambda data: pa.compress(data, "zstd", asbytes=True),
        }
        path.write_bytes(pack[form](data))
    return path


def texts(examples: Examples, most: int = 5000) -> list[list[str]]:
    cells: list[list[str]] = examples.take(np.arange(most)).rows.texts().tolist()
    return cells


def without_note(table: Table) -> dict[str, object]:
    decisions = table.schema.decisions()
    assert decisions["notes"][0].startswith("rows that do not fit in --memory")
    return decisions | {"notes": decisions["notes"][1:]}
