"""`page NAME [VERSION] > FILE.html`: a model as one file for people, which answers by itself, offline."""

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from evenkeel.page.one_file import one_file
from evenkeel.scoring.local import LocalModel
from models.card import GoldenRow, ModelCard
from models.cells import iso_date
from models.features import CategoricalFeature, Feature, Record, Value, codes_of
from models.repository import ModelRepository, PublishedModel
from models.terminal import add_command, add_model
from trainer.errors import InvalidSetting
from trainer.export.graph import without_metadata

GOLDEN_ROWS = 12
# In so many features, the row that the page opens with is not the typical one.
CHANGED = 4
# Of the cells of a golden row, where training saw missing ones.
MISSING_SHARE = 0.1


def add_page(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add the command `page`."""
    page = add_command(
        commands,
        "page",
        print_page,
        "write a model as one HTML file for people, which answers by itself, offline",
        examples=("penguins > penguins.html", "penguins 1 > penguins-1.html"),
        epilog="The file holds the model and its card, and no row of the table that it was trained on. Exit codes: "
        "0 done, 64 usage, 65 unfit model.",
    )
    add_model(page)


def print_page(repository: ModelRepository, options: argparse.Namespace) -> None:
    """Write the page of a version to standard output.

    :raises ModelError: there is no such version, or it is not intact.
    :raises InvalidSetting: standard output is a terminal.
    """
    if sys.stdout.isatty():
        raise InvalidSetting(f"the page is a file: add > {options.name}.html")
    version = options.version or repository.serving_version(options.name)
    sys.stdout.buffer.write(page_of(repository.read(options.name, version)))


def page_of(model: PublishedModel) -> bytes:
    """The page of a model; of the same model the same bytes.

    Its card and its model hold no row of a table: golden rows are drawn anew, from what the card says of each feature,
    and answered by the model.

    :raises ModelError: the service would refuse the model.
    """
    onnx = without_metadata(model.onnx)
    asked = LocalModel(PublishedModel(model.card, model.version, onnx, model.digest))
    rows = synthetic_rows(model.card, np.random.default_rng(0))
    answers = asked.answer_records(rows)
    golden = tuple(
        GoldenRow(instance=row, probabilities=tuple(answer)) for row, answer in zip(rows, answers.tolist(), strict=True)
    )
    card = model.card.model_copy(update={"golden": golden, "background": (), "learned_rows": None, "files": {}})
    return one_file(card, model.version, onnx)


def synthetic_rows(card: ModelCard, rng: np.random.Generator) -> list[Record]:
    """Golden rows for a card, of values drawn from what it says of each feature, one independent of another.

    The first, with which the page opens, is the typical row but for a few features; the second is the typical row. A
    card from before there was one has others in their place. Where the card has codes of a number, it is one of them,
    and where it has whole values, it stays whole.
    """
    drawn = [{feature.name: _drawn(card, feature, rng) for feature in card.features} for _ in range(GOLDEN_ROWS)]
    if card.typical is not None:
        changed = rng.choice(len(card.features), min(CHANGED, len(card.features)), replace=False).tolist()
        names = [card.features[place].name for place in changed]
        drawn[:2] = [card.typical | {name: drawn[0][name] for name in names}, card.typical]
    return drawn


def _drawn(card: ModelCard, feature: Feature, rng: np.random.Generator) -> Value:
    """A value of a feature: missing now and then, where training saw that."""
    missing = feature.nullable and feature.seen_missing and rng.random() < MISSING_SHARE
    if isinstance(feature, CategoricalFeature):
        categories: Sequence[str | None] = feature.categories or ("" if not feature.nullable else None,)
        text = categories[int(rng.integers(len(categories)))]
        return None if missing else text
    # As often from each bin of the drift baseline as training's values were in it.
    places, shares = [feature.minimum, feature.maximum], [1.0]
    for bins in card.drift.features if card.drift else ():
        if bins.feature == feature.name and bins.kind == "numeric" and sum(bins.shares[:-1]) > 0:
            places = [feature.minimum, *np.clip(bins.edges, feature.minimum, feature.maximum), feature.maximum]
            shares = list(bins.shares[:-1])
    number = float(np.interp(rng.random() * sum(shares), np.cumsum([0.0, *shares]), places))
    # In few digits, for a person sees them in the form.
    span = feature.maximum - feature.minimum or 1
    digits = 0 if _is_whole(card, feature) else 3 - math.floor(math.log10(span))
    number = float(np.clip(round(number, digits), feature.minimum, feature.maximum))
    number = min(codes_of(feature), key=lambda code: abs(code - number), default=number)
    if missing:
        return None
    return iso_date(number) if feature.kind == "date" else number


def _is_whole(card: ModelCard, feature: Feature) -> bool:
    """Whether a feature holds whole numbers only, as far as the card tells."""
    if isinstance(feature, CategoricalFeature):
        return False
    bins = card.drift.features if card.drift else ()
    # The lowest edge may stand just below the smallest value.
    edges = [edge for one in bins if one.feature == feature.name and one.kind == "numeric" for edge in one.edges[1:]]
    golden = [row.instance.get(feature.name) for row in card.golden]
    seen = [feature.minimum, feature.maximum, *edges, *(value for value in golden if isinstance(value, float))]
    return all(float(value).is_integer() for value in seen)
