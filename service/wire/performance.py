"""What a version's performance is in JSON: the test figures of its card, and beside them what is expected of the rows
of late, and what labels say, over each window of time.
"""

from collections.abc import Sequence
from typing import Any

from models.card import ModelCard
from models.evaluation import wilson
from models.performance import Expected, Measured, Status, measured, worst_of
from service.telemetry.drift import Spread, Watch
from service.telemetry.live import Live
from service.wire.drift import DIGITS, name_of

# Rows, accuracy with its interval, and log-loss; all but the number of rows may be None.
Figures = dict[str, Any]

RULE = "the rule has changed: train again on labelled rows"


def document(watch: Watch, spread: Spread | None, live: Sequence[Live]) -> dict[str, Any]:
    """The document of a version; without a `spread` no rows are counted, and nothing is expected."""
    card, status = watch.card, worst_of([one.verdict.status for one in live])
    expected = [None] * len(live) if spread is None else [window.expected for window in spread.windows]
    return {
        "model": {"name": watch.model, "version": watch.version},
        "status": status,
        "summary": _summary(status, live, spread),
        "calibrated": card.calibration is not None,
        "test": _tested(measured(card)),
        "windows": [_window(card, *one) for one in zip(expected, live, strict=True)],
    }


def _tested(known: Measured | None) -> Figures:
    if known is None:
        return _figures(0)
    error = {"calibration_error": _rounded(known.calibration_error)}
    return _figures(known.rows, known.accuracy, known.interval, known.log_loss) | error


def _window(card: ModelCard, expected: Expected | None, live: Live) -> dict[str, Any]:
    """`expected` is of all rows of late, `live` and `promised` are of those that have labels."""
    verdict, rows = live.verdict, live.verdict.labels
    measured = promised = _figures(rows)
    if rows:
        measured = _figures(rows, verdict.accuracy, wilson(verdict.accuracy, rows), live.log_loss)
        promised = _figures(rows, verdict.expected, None, live.expected_log_loss)
    return {
        "name": name_of(live.hours),
        "hours": live.hours,
        "expected": _expected(expected),
        "status": verdict.status,
        "live": measured | {"calibration_error": _rounded(live.calibration_error)},
        "promised": promised,
        "labels_needed": verdict.labels_needed,
        "chance_accuracy": _rounded(verdict.chance if rows else None),
        "calibration": [
            {"confidence": round(one.confidence, DIGITS), "accuracy": round(one.accuracy, DIGITS), "rows": one.rows}
            for one in live.bins
        ],
        "confusion": {
            "labels": [card.classes[place] for place in live.confused.classes],
            "others": live.confused.others,
            "counts": live.confused.counts,
        },
    }


def _expected(expected: Expected | None) -> Figures:
    if expected is None:
        return _figures(0) | {"log_loss_interval": None}
    accuracy, log_loss = expected.accuracy, expected.log_loss
    found = _figures(expected.rows, accuracy.value, (accuracy.low, accuracy.high), log_loss.value)
    return found | {"log_loss_interval": [round(log_loss.low, DIGITS), round(log_loss.high, DIGITS)]}


def _figures(
    rows: int,
    accuracy: float | None = None,
    interval: tuple[float, float] | None = None,
    log_loss: float | None = None,
) -> Figures:
    return {
        "rows": rows,
        "accuracy": _rounded(accuracy),
        "accuracy_interval": interval and [round(end, DIGITS) for end in interval],
        "log_loss": _rounded(log_loss),
    }


def _summary(status: Status, live: Sequence[Live], spread: Spread | None) -> str:
    """The status in one sentence."""
    worst = next(one for one in reversed(live) if one.verdict.status == status)
    verdict, name = worst.verdict, name_of(worst.hours)
    if status == "too_few_labels":
        return f"too few labels: {verdict.labels} in the {name}, of {verdict.labels_needed} needed"
    told = f"{verdict.accuracy:.1%} of {verdict.labels} labelled answers of the {name} are right"
    if status == "as_expected":
        return f"as expected: {told}, and {verdict.expected:.1%} were expected"
    shifted = "; their distribution has shifted too" if spread is not None and spread.status == "shifted" else ""
    return (
        f"worse than expected: {told}, {verdict.expected:.1%} were expected, and chance explains no less than "
        f"{verdict.chance:.1%}; {RULE}{shifted}"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
