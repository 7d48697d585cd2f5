"""The metrics in the Prometheus text format."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from models import __version__
from models.shift import STATUSES
from service.telemetry import drift
from service.telemetry.board import BUCKETS, LAG_BUCKETS, LAYOUT, SET_BUCKETS, Metrics
from service.telemetry.feedback import Result
from service.telemetry.live import Live
from service.telemetry.usage import Usage, usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

GAUGES = {
    "workers": "Worker processes that live.",
    "workers_ready": "Worker processes that hold a model and are not about to stop.",
    "connections": "Connections that are open.",
    "requests_waiting": "Requests that are with a thread, or wait for one; short ones need none.",
}
# Of each window that has labels.
_LIVE: tuple[tuple[str, str, Callable[[Live], float | None]], ...] = (
    ("live_labels", "Labels that have come.", lambda live: live.verdict.labels),
    ("live_accuracy", "Accuracy of the answers that have labels.", lambda live: live.verdict.accuracy),
    ("live_log_loss", "Log-loss of the answers that have labels.", lambda live: live.log_loss),
    ("live_calibration_error", "Their expected calibration error.", lambda live: live.calibration_error),
    (
        "performance_status",
        "0 is as expected, 1 worse: the rule has changed, train again.",
        lambda live: PERFORMANCE[live.verdict.status],
    ),
)
PERFORMANCE: dict[str, float | None] = {"too_few_labels": None, "as_expected": 0, "worse": 1}


def metrics_text(metrics: Metrics, loaded: Sequence[tuple[str, int]], watches: Sequence[drift.Watch] = ()) -> str:
    """The text for Prometheus; `loaded` are the models and versions that this worker holds, and `watches` those of
    them whose drift is known.
    """
    sums, spreads = metrics.board.sums(), metrics.drift.spreads(watches) if metrics.drift.on else []
    lines = chain(
        _requests(sums),
        _processes(sums, usage(metrics.board.processes)),
        _loaded(loaded),
        _drift(spreads),
        _performance(spreads, watches, metrics.feedback.live(watches)),
        _feedback(metrics.labelled()),
    )
    return "\n".join(lines) + "\n"


def _head(name: str, kind: str, sentence: str) -> tuple[str, str]:
    """What stands above the samples of a metric."""
    return f"# HELP {name} {sentence}", f"# TYPE {name} {kind}"


def _requests(sums: Sequence[float]) -> Iterator[str]:
    yield from _head("evenkeel_requests_total", "counter", "Requests answered, by route and by the answer's code word.")
    for (route, code), cell in LAYOUT.requests.items():
        # Every route has its ok from the start; a refusal appears once it has happened.
        if code == "ok" or sums[cell]:
            yield f'evenkeel_requests_total{{route="{route}",code="{code}"}} {sums[cell]:.0f}'
    yield from _head("evenkeel_rows_total", "counter", "Rows predicted or explained.")
    for route in ("predict", "explain", "invocations", "infer"):
        yield f'evenkeel_rows_total{{route="{route}"}} {sums[LAYOUT.rows[route]]:.0f}'
    name = "evenkeel_set_size"
    yield from _head(name, "histogram", "Classes in the prediction sets of rows, of models that were given a coverage.")
    yield from _histogram(name, "", SET_BUCKETS, sums[LAYOUT.sets :])
    name = "evenkeel_request_seconds"
    yield from _head(name, "histogram", "Time from the first look at a request to its answer.")
    for route, start in LAYOUT.seconds.items():
        yield from _histogram(name, f'route="{route}"', BUCKETS, sums[start:])


def _processes(sums: Sequence[float], used: Usage) -> Iterator[str]:
    for what, sentence in GAUGES.items():
        yield from _head(f"evenkeel_{what}", "gauge", sentence)
        yield f"evenkeel_{what} {sums[LAYOUT.gauges[what]]:.0f}"
    yield from _head(
        "evenkeel_worker_exits_total", "counter", "Worker processes that ended, but for the service's end."
    )
    for cause, cell in LAYOUT.exits.items():
        yield f'evenkeel_worker_exits_total{{cause="{cause}"}} {sums[cell]:.0f}'
    name = "evenkeel_loop_lag_seconds"
    yield from _head(name, "histogram", "By how much an event loop is late, as each worker measures all the time.")
    yield from _histogram(name, "", LAG_BUCKETS, sums[LAYOUT.lag :])
    name = "evenkeel_log_lines_dropped_total"
    yield from _head(name, "counter", "Lines of the log that nobody has read in time from stderr.")
    yield f"{name} {sums[LAYOUT.lines_dropped]:.0f}"
    name = "evenkeel_prediction_log_lines_total"
    yield from _head(name, "counter", "Lines of the prediction log: written, or dropped, for what reason.")
    for what, cell in LAYOUT.prediction_log.items():
        yield f'{name}{{outcome="{what}"}} {sums[cell]:.0f}'
    for name, kind, sentence, amount in (
        ("cpu_seconds_total", "counter", "Processor time of all processes of the service.", used.cpu_seconds),
        ("resident_memory_bytes", "gauge", "Their memory; pages that they share count once.", used.memory_bytes),
        ("open_fds", "gauge", "Their open file descriptors.", used.open_descriptors),
        ("max_fds", "gauge", "How many of them they may have open.", used.most_descriptors),
        ("start_time_seconds", "gauge", "When the service started, in seconds since 1970.", used.started),
    ):
        yield from _head(f"process_{name}", kind, sentence)
        yield f"process_{name} {amount!r}"


def _loaded(loaded: Sequence[tuple[str, int]]) -> Iterator[str]:
    yield from _head("evenkeel_model_loaded", "gauge", "Models and versions that the answering worker holds.")
    for model, version in loaded:
        yield f'evenkeel_model_loaded{{model="{model}",version="{version}"}} 1'
    yield from _head("evenkeel_build_info", "gauge", "The version of Evenkeel.")
    yield f'evenkeel_build_info{{version="{__version__}"}} 1'


def _drift(spreads: Sequence[drift.Spread]) -> Iterator[str]:
    """A status, and the indices of the short window, where there are enough rows for one."""
    labels = {f'model="{one.watch.model}",version="{one.watch.version}"': one for one in spreads}
    name = "evenkeel_drift_rows_total"
    yield from _head(name, "counter", "Rows that were held against the training rows.")
    for label, spread in labels.items():
        yield f"{name}{{{label}}} {spread.rows:.0f}"
    name = "evenkeel_drift_status"
    yield from _head(name, "gauge", "0 is steady, 1 moving, 2 shifted: time to train again.")
    for label, spread in labels.items():
        if (status := STATUSES.index(spread.status) - 1) >= 0:
            yield f"{name}{{{label}}} {status}"
    verdicts = {label: one.windows[0].verdict for label, one in labels.items()}
    enough = {label: verdict for label, verdict in verdicts.items() if verdict.rows >= verdict.rows_needed}
    name = "evenkeel_drift_psi"
    yield from _head(name, "gauge", "Population stability index of a feature's late rows against training's.")
    for label, verdict in enough.items():
        for one, shift in zip(labels[label].watch.baseline.features, verdict.shifts, strict=False):
            yield f'{name}{{{label},feature="{_escaped(one.feature)}"}} {shift.psi:.6g}'
    name = "evenkeel_prediction_drift_psi"
    yield from _head(name, "gauge", "The same of the predicted classes.")
    for label, verdict in enough.items():
        yield f"{name}{{{label}}} {verdict.shifts[-1].psi:.6g}"


def _performance(
    spreads: Sequence[drift.Spread], watches: Sequence[drift.Watch], live: Sequence[Sequence[Live]]
) -> Iterator[str]:
    """What the rows of each window let expect, and what the labels of each window say."""
    expected = {
        _labels(spread.watch, window.hours): window.expected
        for spread in spreads
        for window in spread.windows
        if window.expected
    }
    labelled = {
        _labels(watch, one.hours): one
        for watch, windows in zip(watches, live, strict=True)
        for one in windows
        if one.verdict.labels
    }
    yield from _gauge(
        "expected_accuracy",
        "Accuracy to expect of the rows of late, by their probabilities.",
        {labels: one.accuracy.value for labels, one in expected.items()},
    )
    yield from _gauge(
        "expected_log_loss", "The same of log-loss.", {labels: one.log_loss.value for labels, one in expected.items()}
    )
    for name, sentence, of in _LIVE:
        yield from _gauge(name, sentence, {labels: of(one) for labels, one in labelled.items()})


def _feedback(counts: Mapping[Result, int]) -> Iterator[str]:
    name = "evenkeel_feedback_labels_total"
    yield from _head(name, "counter", "Labels that were sent, by what became of them.")
    for result, labels in counts.items():
        yield f'{name}{{result="{result}"}} {labels}'


def _gauge(name: str, sentence: str, samples: Mapping[str, float | None]) -> Iterator[str]:
    yield from _head(f"evenkeel_{name}", "gauge", sentence)
    for labels, amount in samples.items():
        if amount is not None:
            yield f"evenkeel_{name}{{{labels}}} {amount:.6g}"


def _labels(watch: drift.Watch, hours: float) -> str:
    return f'model="{watch.model}",version="{watch.version}",hours="{hours:g}"'


def _histogram(name: str, label: str, buckets: Sequence[float], cells: Sequence[float]) -> Iterator[str]:
    """`cells` are the counts of the buckets, that of what is beyond them, and the sum."""
    count = 0.0
    comma, labels = "," if label else "", f"{{{label}}}" if label else ""
    for le, here in zip((*buckets, "+Inf"), cells, strict=False):
        count += here
        yield f'{name}_bucket{{{label}{comma}le="{le}"}} {count:.0f}'
    yield f"{name}_sum{labels} {cells[len(buckets) + 1]!r}"
    yield f"{name}_count{labels} {count:.0f}"


def _escaped(text: str) -> str:
    """A label's value: a feature is called whatever its column was."""
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
