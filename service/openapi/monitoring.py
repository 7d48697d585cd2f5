"""JSON schemas of what a service tells of the rows of late, and of the labels that it takes."""

from models import performance, shift
from service.openapi.schemas import NUMBER, PROBABILITY, TEXT, Schema, closed, listed, opened, reference, rows
from service.telemetry.feedback import RESULTS

INTEGER: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}


def monitoring_schemas() -> dict[str, Schema]:
    """Drift, performance and feedback, by name."""
    return {**_drifting(), **_performing(), **_feedback()}


def _drifting() -> dict[str, Schema]:
    """What a service tells of the rows of late."""
    status, shares = reference("DriftStatus"), listed(PROBABILITY)
    index: Schema = {"type": ["number", "null"], "minimum": 0}
    window = {"name": TEXT, "hours": NUMBER, "status": status, "rows": COUNT, "rows_needed": COUNT}
    measure = {
        "status": status,
        "psi": index,
        "band": index | {"description": "what chance alone stays below"},
        "live": shares | {"description": "of the rows, by bin"},
        "missing": PROBABILITY,
    }
    feature = {"feature": TEXT, "bins": listed(TEXT), "training": shares, "windows": listed(reference("DriftMeasure"))}
    drift = {
        "model": reference("ModelVersion"),
        "status": status,
        "summary": TEXT,
        "training_rows": COUNT,
        "windows": listed(reference("DriftWindow")),
        "features": listed(reference("DriftFeature")),
        "predictions": reference("DriftFeature"),
    }
    return {
        "DriftStatus": {"type": "string", "enum": list(shift.STATUSES)},
        "DriftWindow": opened(window | {"drifted": listed(TEXT)}),
        "DriftMeasure": opened(measure, {"unseen": PROBABILITY, "far_outside": PROBABILITY}),
        "DriftFeature": opened(feature),
        "Drift": opened(drift, {"sets": opened({"promised": {"type": "boolean"}})}),
    }


def _performing() -> dict[str, Schema]:
    """Figures of the card, of what is expected, and of what labels say."""
    status, figures, maybe = reference("PerformanceStatus"), reference("Figures"), NUMBER | {"type": ["number", "null"]}
    interval: Schema = {"type": ["array", "null"], "items": NUMBER}
    shown: dict[str, Schema] = {"accuracy": maybe, "accuracy_interval": interval, "log_loss": maybe}
    window = {
        "name": TEXT,
        "hours": NUMBER,
        "expected": figures,
        "status": status,
        "live": figures,
        "promised": figures,
        "labels_needed": INTEGER,
        "chance_accuracy": maybe,
        "calibration": listed({"type": "object"}),
        "confusion": reference("Confusion"),
    }
    model = {"model": reference("ModelVersion")}
    whole = {"status": status, "summary": TEXT, "calibrated": {"type": "boolean"}, "test": figures}
    return {
        "PerformanceStatus": {"type": "string", "enum": list(performance.STATUSES)},
        "Figures": opened({"rows": INTEGER}, shown | {"log_loss_interval": interval, "calibration_error": maybe}),
        "Performance": opened(model | whole | {"windows": listed(opened(window))}),
    }


def _feedback() -> dict[str, Schema]:
    """Labels of answers, and what became of them."""
    named = {
        "id": TEXT | {"description": "X-Request-Id of the answer"},
        "label": {"type": ["string", "number", "boolean"]},
    }
    several = closed({"feedback": rows(reference("Labelled"))})
    return {
        "Labelled": closed(named, {"index": {"type": "integer", "minimum": 0}, "model": {"type": ["string", "null"]}}),
        "Feedback": {"anyOf": [reference("Labelled"), several]},
        "FeedbackResult": opened(dict.fromkeys(RESULTS, INTEGER) | {"unknown_ids": listed({"type": "object"})}),
    }
