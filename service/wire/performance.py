"""What a version's performance is in JSON: the test figures of its card, and beside them what is expected of the rows
of late, and what labels say, over each window of time.
"""

from collections.abc import Sequence
from typing import Any

from models.card import ModelCard
from models.performance import Estimate, Expected, Status, tested, worst_of
from service.telemetry.drift import Spread, Watch
from service.telemetry.feedback import Live
from service.wire.drift import DIGITS, name_of

RULE = "the rule has changed: train again on labelled rows"


def document(watch: Watch, spread: Spread | None, live: Sequence[Live]) -> dict[str, Any]:
    """The document of a version; without a `spread` no rows are counted, and nothing is expected."""
    status = worst_of([one.verdict.status for one in live])
    expected = [None] * len(live) if spread is None else [window.expected for window in spread.windows]
    return {
        "model": {"name": watch.model, "version": watch.version},
        "status": status,
        "summary": _summary(status, live, spread),
        "calibrated": watch.card.calibration is not None,
        "test": _tested(watch.card),
        "windows": [_window(watch.card, *one) for one in zip(expected, live, strict=True)],
    }


def _tested(card: ModelCard) -> dict[str, Any] | None:
    known = tested(card)
    return known and {
        "rows": known.rows,
        "accuracy": round(known.accuracy, DIGITS),
        "accuracy_interval": list(known.interval),
        "log_loss": round(known.log_loss, DIGITS),
        "calibration_error": _rounded(known.calibration_error),
    }


def _window(card: ModelCard, expected: Expected | None, live: Live) -> dict[str, Any]:
    verdict, some = live.verdict, live.verdict.labels > 0
    labelled: dict[str, Any] = {
        "status": verdict.status,
        "labels": verdict.labels,
        "labels_needed": verdict.labels_needed,
        "accuracy": _rounded(verdict.accuracy if some else None),
        "expected_accuracy": _rounded(verdict.expected if some else None),
        "chance_accuracy": _rounded(verdict.chance if some else None),
        "log_loss": _rounded(live.log_loss),
        "expected_log_loss": _rounded(live.expected_log_loss),
        "calibration_error": _rounded(live.calibration_error),
        "calibration": [
            {"confidence": round(one.confidence, DIGITS), "accuracy": round(one.accuracy, DIGITS), "labels": one.rows}
            for one in live.bins
        ],
        "confusion": {
            "classes": [card.classes[place] for place in live.confused.classes],
            "others": live.confused.others,
            "counts": live.confused.counts,
        },
    }
    return {
        "name": name_of(live.hours),
        "hours": live.hours,
        "expected": expected and _expected(expected),
        "labelled": labelled,
    }


def _expected(expected: Expected) -> dict[str, Any]:
    return {
        "rows": expected.rows,
        **_estimate("accuracy", expected.accuracy),
        **_estimate("log_loss", expected.log_loss),
    }


def _estimate(name: str, estimate: Estimate) -> dict[str, Any]:
    return {
        name: round(estimate.value, DIGITS),
        f"{name}_interval": [round(estimate.low, DIGITS), round(estimate.high, DIGITS)],
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
