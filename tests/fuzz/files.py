"""Files of any bytes, where a card, a model or a table is expected."""

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from models.errors import ModelError
from models.repository import ModelRepository
from service.model_file.structure import check_structure
from service.prediction.predictor import Predictor
from tests.conftest import ROOT
from tests.service.conftest import NUMBERS, PUBLISHED
from trainer.data.inspection import with_findings
from trainer.data.table import read_table
from trainer.errors import TrainerError

PENGUINS = ROOT / "examples/penguins.csv"


@cache
def _store() -> Path:
    return Path(shutil.copytree(PUBLISHED, Path(tempfile.mkdtemp()) / "store"))


def load_card(data: bytes) -> None:
    """A version with any text as its card: read and loaded, or refused as a model is refused."""
    (_store() / "penguins/1/card.json").write_bytes(data)
    try:
        Predictor(ModelRepository(_store()).read("penguins", 1))
    except ModelError:
        return


def card_seeds() -> Iterator[bytes]:
    yield (PUBLISHED / "penguins/1/card.json").read_bytes()


def read_structure(data: bytes) -> None:
    """A model file of any bytes: its structure is read before onnxruntime sees it, by arithmetic of our own."""
    try:
        check_structure(data)
    except ModelError:
        return


def structure_seeds() -> Iterator[bytes]:
    for published in (PUBLISHED / "penguins", NUMBERS / "plain"):
        onnx = (published / "1/model.onnx").read_bytes()
        yield onnx
        # Without the card that it carries there is less to get lost in.
        yield onnx[: len(onnx) // 2]
    yield from (b"\x08\x08", b"\x3a\x02\x0a\x00", b"\xff" * 12)


def inspect_table(data: bytes) -> None:
    """A table of any bytes, inspected as `trainer inspect` does it."""
    path = _store() / "table.csv"
    path.write_bytes(data)
    try:
        table = read_table(path, "y")
        with_findings(table.schema, table.examples)
    except TrainerError:
        return


def table_seeds() -> Iterator[bytes]:
    lines = PENGUINS.read_bytes().splitlines(keepends=True)[:30]
    yield lines[0].replace(b"species", b"y") + b"".join(lines[1:])
    yield b"x,k,y\n" + b"".join(b"%d,%d,%s\n" % (row, row % 3, b"ab"[row % 2 :][:1]) for row in range(20))
    yield b'"a ""q""",d,y\r\n"1,5",2026-11-21,no\r\n,"two\nlines",yes\r\n'
    yield gzip.compress(b"x;y\n1;a\n2;b\n", mtime=0)
    yield "\ufeffé,y\n007,a\n-1e5,b\nNA,\n".encode()
