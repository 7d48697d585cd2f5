"""How each feature spreads over the training rows, in round bins that give no row away, and what is done to it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from models.cells import iso_date, spelled_code
from models.figures import MOST_BINS, Distribution
from trainer.arrays import Array
from trainer.data.encoder import Encoder
from trainer.data.rows import RARE, Examples
from trainer.data.scaling import Quantiles, Robust
from trainer.report.axes import round_step

# Of more training rows, so many from everywhere in the table: no share moves by more than a few thousandths.
MOST_ROWS = 20_000
# What fewer rows hold is not named.
FEWEST_TOGETHER = 5
WANTED_BINS, BEYOND, DIGITS, FINEST = 18, 0.005, 5, 1e-9

Vector = npt.NDArray[np.float64]


def distributions(examples: Examples, encoder: Encoder, chosen: Sequence[str]) -> tuple[Distribution, ...]:
    """The distributions of the `chosen` features over rows that the networks learned from, in that order.

    A row counts as often as its weight says.
    """
    if len(examples) > MOST_ROWS:
        examples = examples.take(np.linspace(0, len(examples) - 1, MOST_ROWS, dtype=np.int64))
    rows = examples.rows
    counts = np.ones(len(rows)) if examples.weights is None else examples.weights.astype(np.float64)
    wanted, found = set(chosen), dict[str, Distribution]()
    for place, column in enumerate(rows.numbers):
        values = rows.numeric[:, place]
        if column.name in wanted and place in encoder.as_categories:
            different, codes = np.unique(values[~np.isnan(values)], return_inverse=True)
            places = np.zeros(len(values), np.int64)
            places[~np.isnan(values)] = 1 + codes
            missing, categories, shares = _counted(["", *map(spelled_code, different.tolist())], places, counts)
            found[column.name] = Distribution(
                feature=column.name,
                kind="categorical",
                missing=missing,
                treatment="; ".join(_of_code(encoder, place)),
                categories=categories,
                shares=shares,
            )
        elif column.name in wanted:
            said = "; ".join(_of_number(encoder, place, column.kind))
            kind = "date" if column.kind == "date" else "numeric"
            missing, edges, shares = _binned(values, counts)
            found[column.name] = Distribution(
                feature=column.name, kind=kind, missing=missing, treatment=said, edges=edges, shares=shares
            )
    for place, column in enumerate(rows.texts_of):
        if column.name in wanted:
            missing, categories, shares = _counted(rows.vocabularies[place], rows.codes[:, place], counts)
            found[column.name] = Distribution(
                feature=column.name,
                kind="categorical",
                missing=missing,
                treatment=_of_text(encoder, place),
                categories=categories,
                shares=shares,
            )
    return tuple(found[name] for name in chosen)


def middles(edges: Sequence[float]) -> tuple[float, ...]:
    """The middle of each bin."""
    return tuple(float(f"{(low + high) / 2:.7g}") for low, high in pairwise(edges))


def _binned(values: Array, counts: Vector) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    present = ~np.isnan(values)
    missing = 1 - float(counts[present].sum() / counts.sum())
    if not present.any():
        return _rounded(missing), (), ()
    numbers, weights = values[present].astype(np.float64), counts[present]
    edges = _edges(numbers)
    places = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    totals = np.bincount(places, weights, minlength=len(edges) - 1)
    return _rounded(missing), tuple(edges.tolist()), tuple(map(_rounded, totals / totals.sum()))


def _edges(values: Vector) -> Vector:
    """Round numbers that hold all values but the lowest and the highest few."""
    low, high = np.quantile(values, [BEYOND, 1 - BEYOND])
    whole = bool((values == np.floor(values)).all())
    step = round_step((high - low) / WANTED_BINS) if high > low else 1.0
    # Edges have ten digits, by which neighbours must differ, however large they are.
    step = max(step, 1.0 if whole else 0.0, FINEST * float(np.abs([low, high]).max()))
    # Bins of one whole number each lie around it.
    shift = 0.5 if whole and step == 1 else 0.0
    first, last = np.floor(low / step + shift), np.floor(high / step + shift) + 1
    places = np.arange(first, min(last, first + MOST_BINS) + 1) - shift
    return np.array([float(f"{place * step:.10g}") for place in places])


def _counted(
    vocabulary: Sequence[str], codes: npt.NDArray[np.integer[Any]], counts: Vector
) -> tuple[float, tuple[str, ...], tuple[float, ...]]:
    totals = dict(zip(vocabulary, np.bincount(codes, counts, minlength=len(vocabulary)).tolist(), strict=True))
    rows = dict(zip(vocabulary, np.bincount(codes, minlength=len(vocabulary)).tolist(), strict=True))
    missing, whole = totals.pop("", 0.0), sum(totals.values()) or 1.0
    common = sorted(
        (text for text in totals if text not in ("", RARE) and rows[text] >= FEWEST_TOGETHER),
        key=lambda text: -totals[text],
    )[: MOST_BINS - 1]
    shares = [totals[text] / whole for text in common]
    others = max(0.0, 1 - sum(shares)) if totals else 0.0
    return _rounded(missing / counts.sum()), tuple(common), tuple(map(_rounded, [*shares, others]))


def _of_number(encoder: Encoder, place: int, kind: str) -> Iterator[str]:
    if isinstance(encoder.scaling, Robust):
        yield "scaled by median and quartiles, clipped smoothly to ±3"
    elif isinstance(encoder.scaling, Quantiles):
        yield "scaled by rank to a normal distribution"
    else:
        yield "scaled by mean and deviation"
    if kind == "date":
        yield "season, hour and weekday as inputs of their own"
    if place in encoder.gaps:
        yield f"a missing cell becomes the median, about {_about(float(encoder.median[place]), kind)}, and is marked"
    for column, values in encoder.atoms:
        if column == place:
            yield f"{len(values)} values that often repeat have inputs of their own"


def _about(median: float, kind: str) -> str:
    """A median without telling a cell: three digits of a number, the month of a date."""
    return iso_date(median)[: len("2026-01")] if kind == "date" else f"{float(f'{median:.3g}'):.15g}"


def _of_code(encoder: Encoder, place: int) -> Iterator[str]:
    values = dict(encoder.atoms)[place]
    yield f"taken for a category: an input for each of {len(values)} numbers; any other has none"
    if place in encoder.gaps:
        yield f"a missing cell counts as {encoder.median[place]:g}, and is marked"


def _of_text(encoder: Encoder, place: int) -> str:
    known = encoder.categories[place]
    missing = ", a missing cell among them" if "" in known else ""
    if place in encoder.coded:
        return f"{len(known)} texts are embedded{missing}; any other is an unknown one"
    return f"an input for each of {len(known)} texts{missing}; any other has none"


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
