"""What a program gives as a table, read some rows at a time as a model takes them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from evenkeel.errors import RowsRefused
from evenkeel.labelled import schema_of
from evenkeel.rows import RowReader, Rows
from evenkeel.run import check_features
from models.card import ModelCard
from trainer.data.blocks import Block, open_blocks
from trainer.data.frames import frame_blocks

# A frame of pandas, polars or pyarrow, a list of records, or the path of a file.
Table: TypeAlias = Any

MOST_DETAILS = 20
# What a feature of a kind takes, in the service's words.
RULES = {"numeric": "number", "date": "date", "categorical": "text"}


def blocks_of(table: Table, card: ModelCard) -> Iterator[tuple[Block, Rows]]:
    """A table some rows at a time, as they stand there, and read as the card says.

    :raises TrainerError: it cannot be read, or lacks a feature.
    """
    schema = schema_of(card)
    reader = RowReader(card, schema)
    if not isinstance(table, str | os.PathLike):
        for block in frame_blocks(table, [feature.name for feature in card.features]):
            yield block, reader.read(block)
        return
    path = Path(table)
    with open_blocks(path, schema.file) as blocks:
        check_features(path, blocks, card)
        for block in blocks.blocks:
            yield block, reader.read(block)


def check_rows(block: Block, rows: Rows, first: int, card: ModelCard) -> None:
    """Refuse rows that break the card, as the service would; the first of the block has the place `first`.

    :raises RowsRefused: some do.
    """
    if not rows.reasons:
        return
    wrong = sorted(rows.reasons.items())
    kinds = {feature.name: feature.kind for feature in card.features}
    details = [
        {"instance": first + row, "feature": name, "rule": RULES[kinds[name]] if name else "shape", "message": why}
        for row, (name, why) in wrong[:MOST_DETAILS]
    ]
    row, (name, why) = wrong[0]
    where = f"{block.place(row)}, feature '{name}'" if name else block.place(row)
    others = f", and so on in {len(wrong)} rows" if len(wrong) > 1 else ""
    raise RowsRefused(f"{where}: {why}{others}; mend them, or leave them out", "invalid_record", details=details)
