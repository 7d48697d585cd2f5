"""One row of a table, as a client of the service would send it."""

from pathlib import Path
from typing import Any

import numpy as np

from evenkeel.scoring.run import check_features
from evenkeel.tables.rows import RowReader, Tensors
from models.card import ModelCard
from models.cells import iso_date
from models.features import Feature, Record, Value
from trainer.arrays import shortest_decimal
from trainer.data.blocks import open_blocks
from trainer.data.stated import stated_schema
from trainer.errors import InvalidSetting, InvalidTable


def record_of(path: Path, number: int, card: ModelCard) -> Record:
    """The record of a row of a table, from 1, read as the card says that the training table was.

    :raises InvalidSetting: the table has no such row.
    :raises InvalidTable: it lacks a feature, cannot be read, or the row is none that the model could answer.
    """
    schema = stated_schema(card)
    seen = 0
    with open_blocks(path, schema.file) as table:
        check_features(path, table, card)
        reader = RowReader(card, schema)
        for block in table.blocks:
            at = number - 1 - seen
            if 0 <= at < len(block):
                rows = reader.read(block)
                if at in rows.reasons:
                    feature, why = rows.reasons[at]
                    concerned = f", feature '{feature}'" if feature else ""
                    raise InvalidTable(f"{path}, {block.place(at)}{concerned}: {why}; mend it, or take another row")
                return _record(card, {name: tensor[at] for name, tensor in rows.tensors.items()})
            seen += len(block)
    raise InvalidSetting(f"--row {number}: {path} has {seen} rows; say a number from 1 to {seen}")


def _record(card: ModelCard, row: Tensors) -> Record:
    numbers, texts = (iter(row.get(name, ())) for name in ("numeric", "categorical"))
    return {
        feature.name: next(texts) or None if feature.kind == "categorical" else _number(feature, next(numbers))
        for feature in card.features
    }


def _number(feature: Feature, value: Any) -> Value:
    if np.isnan(value):
        return None
    return iso_date(float(value)) if feature.kind == "date" else shortest_decimal(value)
