"""Lists of records, one a row, as a frame."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from trainer.data.frames import Frame
from trainer.data.wording import refusal

Records = Sequence[Mapping[str, Any]]


def frame_of_records(records: Records, path: Path, columns: Sequence[str]) -> Frame:
    """The values that the first record has, of each; `path` is what sentences call the list.

    :param columns: the names of the columns where there is no record.

    :raises InvalidTable: a record is none, lacks a value, or a column's values have no common type.
    """
    names = [*records[0]] if records and isinstance(records[0], Mapping) else [*columns]
    for row, record in enumerate(records, 1):
        if not isinstance(record, Mapping):
            raise refusal("no_record", path=path, row=row, held=type(record).__name__)
        for name in names:
            if name not in record:
                raise refusal("no_value", path=path, row=row, name=name)
    cells = []
    for name in names:
        try:
            cells.append(pa.array([record[name] for record in records], from_pandas=True))
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            raise refusal("no_type", path=path, name=name) from None
    frame: Frame = pa.table(cells, names=[str(name) for name in names])
    return frame
