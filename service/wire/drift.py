"""What a version's drift is in JSON: one status, and of each feature both distributions over each window of time."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from models.card import ModelCard
from models.cells import iso_date
from models.drift import Bins
from models.features import Feature, codes_of
from models.sets import PredictionSets
from models.shift import STATUSES, Status
from service.telemetry.drift import Spread, Window

# Of many, so many are named in the sentence.
MOST_NAMED = 5
DIGITS = 6
ALARMS = ("moving", "shifted")
NAMES = {1.0: "hour", 24.0: "day"}
CLASSES = "predicted classes"


def document(card: ModelCard, spread: Spread) -> dict[str, Any]:
    """The document of a version; windows are in the order of `windows` everywhere, the short one first."""
    baseline, of = spread.watch.baseline, {feature.name: feature for feature in card.features}
    features = [_feature(at, one, spread.windows, of[one.feature]) for at, one in enumerate(baseline.features)]
    predictions = _feature(len(features), baseline.predictions, spread.windows)
    return {
        "model": {"name": card.name, "version": spread.watch.version},
        "status": spread.status,
        "summary": _summary(spread),
        "training_rows": baseline.rows,
        "windows": [_window(spread, one) for one in spread.windows],
        "features": features,
        "predictions": predictions,
    } | ({} if card.sets is None else {"sets": _sets(card.sets, spread.status)})


def _sets(sets: PredictionSets, status: Status) -> dict[str, Any]:
    """Whether the coverage of the sets is still promised: as long as rows come from where training's came from."""
    promised = status != "shifted"
    share = f"{sets.level:g} of the sets hold the true class"
    summary = f"promised: {share}" if promised else f"no longer promised, as the rows have shifted: that {share}"
    return {"level": sets.level, "promised": promised, "summary": summary}


def _window(spread: Spread, window: Window) -> dict[str, Any]:
    verdict = window.verdict
    return {
        "name": name_of(window.hours),
        "hours": window.hours,
        "status": verdict.status,
        "rows": verdict.rows,
        "rows_needed": verdict.rows_needed,
        "drifted": _drifted(spread, [window], ALARMS),
    }


def _feature(at: int, part: Bins, windows: Sequence[Window], feature: Feature | None = None) -> dict[str, Any]:
    """The feature at a place of the baseline, or the predicted classes, which stand behind all features."""
    far = part.kind == "numeric" and not (feature and codes_of(feature))
    return {
        "feature": part.feature,
        "bins": _labels(part, dates=feature is not None and feature.kind == "date"),
        "training": list(part.shares),
        "windows": [_measure(at, "far_outside" if far else "unseen", window) for window in windows],
    }


def _measure(at: int, odd: str, window: Window) -> dict[str, Any]:
    """What is said of a feature in a window; `odd` names the share of values that training has not seen the like of."""
    counts, rows, shift = window.counts[at], window.verdict.rows, window.verdict.shifts[at]
    measured = {
        "status": shift.status,
        "psi": round(shift.psi, DIGITS) if rows else None,
        "band": round(shift.band, DIGITS) if rows else None,
        "live": [round(count / rows, DIGITS) if rows else 0.0 for count in counts],
        "missing": round(counts[-1] / rows, DIGITS) if rows else 0.0,
    }
    if at < len(window.odd):
        measured[odd] = round(window.odd[at] / rows, DIGITS) if rows else 0.0
    return measured


def _summary(spread: Spread) -> str:
    """The status in one sentence."""
    if spread.status == "too_few_rows":
        *_, last = spread.windows
        few, needed = last.verdict.rows, last.verdict.rows_needed
        return f"too few rows: {few} in the {name_of(last.hours)}, of {needed} needed"
    if spread.status == "steady":
        return "steady: no PSI is beyond chance and at least 0.1"
    names = _drifted(spread, spread.windows, (spread.status,))
    named = ", ".join(names[:MOST_NAMED]) + (f" and {len(names) - MOST_NAMED} more" if names[MOST_NAMED:] else "")
    return f"{spread.status}: {named}" + ("; time to train again" if spread.status == "shifted" else "")


def _drifted(spread: Spread, windows: Sequence[Window], statuses: Sequence[Status | str]) -> list[str]:
    """The features, and the predicted classes, that have one of these statuses in a window; the furthest first."""
    names = [*(one.feature for one in spread.watch.baseline.features), CLASSES]
    found: dict[str, tuple[int, float]] = {}
    for window in windows:
        for name, shift in zip(names, window.verdict.shifts, strict=True):
            if shift.status in statuses:
                found[name] = max(found.get(name, (0, 0.0)), (STATUSES.index(shift.status), shift.psi))
    return sorted(found, key=lambda name: found[name], reverse=True)


def _labels(part: Bins, *, dates: bool) -> list[str]:
    """What each bin holds, in words."""
    if part.kind == "categorical":
        return [*part.categories, "other", "missing"]
    edges = list(part.edges)
    said = [iso_date(edge) if dates else f"{edge:.6g}" for edge in edges]
    labels = [f"{low} – {high}" for low, high in pairwise(said)]
    if edges[1:] and np.nextafter(np.float32(edges[1]), np.float32(-np.inf)) == np.float32(edges[0]):
        # The smallest value of training has a bin of its own.
        labels[0], said[0] = said[1], said[1]
        first = f"< {said[1]}"
    else:
        first = f"≤ {said[0]}" if said else "any"
    return [first, *labels, *([f"> {said[-1]}"] if said else []), "missing"]


def name_of(hours: float) -> str:
    """What a window of so many hours is called."""
    return f"last {NAMES.get(hours, f'{hours:g} hours')}"
