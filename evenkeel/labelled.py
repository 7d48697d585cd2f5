"""Labelled rows for a published model: a table read as its card says the training table was read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.card import ModelCard
from trainer.arrays import Array, Labels
from trainer.data.columns import File, NumberCells, read_file
from trainer.data.conversion import fill_numbers, to_rows
from trainer.data.rows import Rows
from trainer.data.schema import MISSING, ColumnSchema, Schema
from trainer.errors import InvalidTable


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows with the features of a card, and their classes: `labels` (n,) indexes the card's classes.

    `weights` (n,) say how much each row counts, as they did in training; None where the table has no such column.
    `places` (n,) are where the rows stand in the table, whose rows without a target, so many, are left out. `sha256`
    is the digest of its file.
    """

    rows: Rows
    labels: Labels
    weights: Array | None
    places: Labels
    without_target: int
    sha256: str

    def __len__(self) -> int:
        return len(self.labels)


def read_labelled(path: Path, card: ModelCard) -> Labelled:
    """Read a table that has the features and the target of a model; other columns are passed over.

    :raises Unreadable: the table is not there or cannot be read.
    :raises InvalidTable: it lacks a column, a cell is not what training read there, or a row is of no class of the
        model.
    """
    file = read_file(path)
    schema = _schema(card)
    for name in (schema.target, *schema.columns):
        if name not in file.names:
            raise InvalidTable(f"{path} has no column '{name}', which {card.name} was trained on; add it to the table")
    labels = _labels(file, schema, card)
    known = labels >= 0
    if not known.any():
        raise InvalidTable(f"{path}: no row has a value in the target column '{schema.target}'; score it instead")
    weights = _weights(file, schema, card)
    if weights is not None:
        known &= weights > 0
    places = np.flatnonzero(known)
    rows = to_rows(file, schema).take(places)
    without = int((labels < 0).sum())
    return Labelled(rows, labels[places], None if weights is None else weights[places], places, without, file.sha256)


def _schema(card: ModelCard) -> Schema:
    """How the training table was read, its features alone, in the order of the card."""
    stated = card.provenance.table_schema
    given = Schema.model_validate_json(json.dumps(stated)) if stated else None
    columns = {}
    for feature in card.features:
        column = given.columns.get(feature.name) if given else None
        # What a boolean column was to the network is what the card's feature says.
        columns[feature.name] = (column or ColumnSchema(kind=feature.kind)).model_copy(update={"kind": feature.kind})
    return Schema(target=card.provenance.target, missing=given.missing if given else MISSING, columns=columns)


def _labels(file: File, schema: Schema, card: ModelCard) -> Labels:
    """The class of each row, -1 where it is missing."""
    cells = file.take(schema.target)
    cells = cells.as_texts() if isinstance(cells, NumberCells) else cells
    present = ~cells.are(schema.markers(schema.target))
    position = {label: place for place, label in enumerate(card.classes)}
    meaning = np.full(len(cells), -1)
    for text, spelled in zip(np.flatnonzero(present), cells.spelled(np.flatnonzero(present)), strict=True):
        if spelled not in position:
            where = file.place(cells.first_row(int(text)))
            raise InvalidTable(
                f"{where}: '{spelled[:40]}' is no class of {card.name}; leave its rows out, or train again on a table "
                "that has it"
            )
        meaning[text] = position[spelled]
    labels = np.empty(len(file), np.int64)
    cells.spread(meaning, np.int64(-1), labels)
    return labels


def _weights(file: File, schema: Schema, card: ModelCard) -> Array | None:
    name = card.provenance.settings.get("weight")
    if name is None or name not in file.names or name in schema.columns:
        return None
    weights = np.empty(len(file), np.float32)
    fill_numbers(weights, file, name, ColumnSchema(kind="numeric"), schema.missing)
    unfit = ~(weights >= 0)
    if unfit.any():
        raise InvalidTable(f"{file.place(int(np.argmax(unfit)))}, column '{name}': a weight must be 0 or more")
    return weights
