"""The tables that Python hands in: frames in memory, and files by their paths."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from evenkeel.errors import DiskRefused
from models.errors import EvenkeelError
from trainer.data.blocks import Blocks, open_blocks
from trainer.data.frames import Frame, frame_blocks, instead_of
from trainer.data.records import Records, frame_of_records
from trainer.data.schema import FileSchema
from trainer.errors import InvalidTable
from trainer.settings.spelling import in_python

Table: TypeAlias = Frame | str | os.PathLike[str]
# What a model is asked with: records too, whose columns the model knows.
Asked: TypeAlias = Table | Records
# What sentences call a table that has no path.
FRAME, TEST_FRAME, LIST = Path("the frame"), Path("the test frame"), Path("the list")


def path_of(table: Asked) -> Path | None:
    """The path of a table in a file; None of one in memory.

    :raises InvalidTable: it is neither.
    """
    if isinstance(table, str | os.PathLike):
        return Path(table)
    if not isinstance(table, Frame):
        raise InvalidTable(f"a {type(table).__name__} is no table; {instead_of(table)}")
    return None


@contextmanager
def opened(table: Asked, given: FileSchema, columns: Sequence[str]) -> Iterator[tuple[Path, Blocks]]:
    """A table to be read once, and what sentences call it; `given` says how the bytes of a file are read.

    :param columns: the names of the columns of a list without a record.
    :raises TrainerError: it cannot be read.
    """
    if isinstance(table, str | os.PathLike):
        with open_blocks(Path(table), given) as blocks:
            yield Path(table), blocks
    elif isinstance(table, list | tuple):
        yield LIST, frame_blocks(frame_of_records(table, LIST, columns), LIST)
    else:
        path_of(table)
        assert isinstance(table, Frame)
        yield FRAME, frame_blocks(table, FRAME)


@contextmanager
def one_tree(where: str = "") -> Iterator[None]:
    """Let every refusal of this block be an `EvenkeelError` whose sentence names parameters in place of flags.

    :param where: what to write where the disk refuses.
    """
    try:
        yield
    except EvenkeelError as error:
        error.args = (in_python(str(error)),)
        raise
    except OSError as error:
        sentence = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        raise DiskRefused("; ".join(filter(None, [in_python(sentence), where]))) from error
