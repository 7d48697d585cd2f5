"""How much memory a table takes that is read whole, and how much it may."""

import re

from models.machine import available_memory

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


def memory_for_tables(given: int | None = None) -> int:
    """How many bytes of memory a table may take: what is given, else half of what this process may use."""
    return given or available_memory() // 2


def spelled(size: int) -> str:
    """So many bytes for a sentence."""
    unit = next((unit for unit in ("GB", "MB", "kB") if size >= 10 ** {"GB": 9, "MB": 6, "kB": 3}[unit]), "bytes")
    return f"{size / {'GB': 1e9, 'MB': 1e6, 'kB': 1e3, 'bytes': 1}[unit]:.3g} {unit}"
