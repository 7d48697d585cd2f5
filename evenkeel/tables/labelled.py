"""Labelled rows for a published model: a table read as its card says the training table was read."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.card import ModelCard
from models.cells import Reading, without_spelling
from models.features import Feature
from trainer.arrays import Array, Labels
from trainer.data.columns import NumberCells
from trainer.data.decoded import Decoded, decode
from trainer.data.examples import fill_numbers, to_rows
from trainer.data.rows import Column, Rows
from trainer.data.schema import Schema
from trainer.errors import InvalidTable
from trainer.evaluation.duplicates import share_learned

# From this share on, all rows are said to be learned.
ALL = 0.995


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
    given, target = schema_of(card), card.provenance.target
    decoded = decode(path, given.file)
    for name in (target, *(feature.name for feature in card.features)):
        if name not in decoded.columns:
            raise InvalidTable(
                f"{path} has no column '{name}', which {card.name} was trained on; its columns are "
                f"{', '.join(decoded.columns)[:400]}: add it{decoded.otherwise}"
            )
    labels = _labels(decoded, given, card)
    known = labels >= 0
    if not known.any():
        raise InvalidTable(f"{path}: no row has a value in the target column '{target}'; score it instead")
    weights = _weights(decoded, given, card)
    if weights is not None:
        known &= weights > 0
    places = np.flatnonzero(known)
    # A later table may have many other texts; none of those that the model knows may be lost among them.
    texts = {feature.name: frozenset(feature.categories) for feature in card.categorical}
    rows = to_rows(decoded, tuple(column_of(feature, given) for feature in card.features), texts).take(places)
    without = int((labels < 0).sum())
    return Labelled(rows, labels[places], None if weights is None else weights[places], places, without, decoded.sha256)


def learned_by(card: ModelCard, labelled: Labelled) -> str:
    """How many of the rows a model learned from, in words; "" where none that is known, or no more than by chance."""
    # A card from before there were hashes in it knows no more than the file.
    if card.learned_rows and (share := share_learned(card.learned_rows, labelled.rows)):
        return "all" if share > ALL else f"about {share:.0%}"
    return "most" if labelled.sha256 == card.provenance.table_sha256 else ""


def schema_of(card: ModelCard) -> Schema:
    """How the table was read that a model was trained on, as far as its card tells."""
    stated = card.provenance.table_schema
    if not stated:
        return Schema(target=card.provenance.target, columns={})
    return Schema.model_validate_json(json.dumps(stated))


def column_of(feature: Feature, given: Schema) -> Column:
    """How the cells of a feature are read: as the card says, or, of cards from before it did, as the schema in it."""
    reading = feature.reading if "reading" in feature.model_fields_set else given.reading(feature.name)
    if feature.kind == "categorical":
        missing = tuple(text for text in reading.missing if text not in feature.categories)
        reading = reading.model_copy(update={"missing": missing})
    return Column(feature.name, feature.kind, feature.nullable, reading)


def _labels(decoded: Decoded, given: Schema, card: ModelCard) -> Labels:
    """The class of each row, -1 where it is missing."""
    cells = decoded.cells(card.provenance.target)
    cells = cells.as_texts() if isinstance(cells, NumberCells) else cells
    present = ~cells.missing(given.missing)
    alike = without_spelling if given.merge_spellings else str
    position = {alike(label): place for place, label in enumerate(card.classes)}
    meaning = np.full(len(cells), -1)
    for text, spelled in zip(np.flatnonzero(present), cells.spelled(np.flatnonzero(present)), strict=True):
        if alike(spelled) not in position:
            where = decoded.place(cells.first_row(int(text)))
            raise InvalidTable(
                f"{where}: '{spelled[:40]}' is no class of {card.name}; leave its rows out, or train again on a table "
                "that has it"
            )
        meaning[text] = position[alike(spelled)]
    labels = np.empty(decoded.rows, np.int64)
    cells.spread(meaning, np.int64(-1), labels)
    return labels


def _weights(decoded: Decoded, given: Schema, card: ModelCard) -> Array | None:
    name = card.provenance.settings.get("weight")
    if name is None or name not in decoded.columns or any(name == feature.name for feature in card.features):
        return None
    weights = np.empty(decoded.rows, np.float32)
    fill_numbers(weights, decoded, Column(name, "numeric", reading=Reading(missing=given.missing)))
    unfit = ~(weights >= 0)
    if unfit.any():
        raise InvalidTable(f"{decoded.place(int(np.argmax(unfit)))}, column '{name}': a weight must be 0 or more")
    return weights
