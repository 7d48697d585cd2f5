"""How much memory a table takes that is read whole."""

import re
from pathlib import Path

from trainer.data.contents import PARQUET, packed
from trainer.data.parsing import ParquetBlocks, Unparsed
from trainer.data.stream import files_of
from trainer.errors import TrainerError

# What reading and training take at their peak, measured: for each byte of CSV, and for each cell of Parquet.
TIMES_OF_TEXT, BYTES_OF_CELL = 6, 32
# Nobody knows before it is unpacked.
TIMES_UNPACKED = 5
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?")
RULE = "should be bytes, or such as 512m, 2g or 1.5g"


def memory_of(text: str) -> int | None:
    """The bytes of a size such as `2g`; None of any other text."""
    match = SIZE.fullmatch(text.strip().lower())
    return (int(float(match[1]) * UNITS[match[2]]) or None) if match else None


def needed_memory(path: Path) -> int:
    """About how many bytes of memory it takes to train on a table that is read whole; 0 of what can be read once only.

    What cannot be read counts for nothing: whoever reads it says so.
    """
    try:
        return sum(map(_needed, files_of(path)))
    except (OSError, TrainerError):
        return 0


def _needed(path: Path) -> int:
    if not path.is_file():
        return 0
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(4)
        file.seek(0)
        if head.startswith(PARQUET):
            try:
                parquet = ParquetBlocks(file)
            except Unparsed:
                return 0
            return parquet.rows * len(parquet.names) * BYTES_OF_CELL
    return size * TIMES_OF_TEXT * (TIMES_UNPACKED if packed(head) else 1)
