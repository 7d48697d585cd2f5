from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.prediction.predictor import Predictor
from service.registry.registry import Registry
from service.telemetry.tracing import spans
from tests.service.conftest import GENTOO, PUBLISHED

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def test_each_request_is_a_span_of_its_clients_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its route, status, model and version; a request without a trace begins one; a failure is marked."""
    exporter = InMemorySpanExporter()
    registry = Registry(ModelRepository(PUBLISHED))
    registry.refresh()
    client = create_app(registry, Bounds(4096), trace=spans(SimpleSpanProcessor(exporter))).test_client()
    client.post("/predict", json={"instance": GENTOO}, headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})
    client.get("/nowhere")

    def fail(*_: object) -> Any:
        raise RuntimeError

    monkeypatch.setattr(Predictor, "predict", fail)
    client.post("/predict", json={"instance": GENTOO}, headers={"traceparent": "nonsense"})
    first, second, third = exporter.get_finished_spans()

    assert first.parent is not None
    assert (first.name, f"{first.context.trace_id:032x}", f"{first.parent.span_id:016x}") == ("predict", TRACE, SPAN)
    attributes = dict(first.attributes or {})
    assert (
        attributes.items()
        >= {
            "http.request.method": "POST",
            "http.response.status_code": 200,
            "evenkeel.model": "penguins",
            "evenkeel.version": 1,
            "evenkeel.rows": 1,
        }.items()
    )
    assert first.start_time is not None
    assert first.end_time is not None
    assert 0 < first.end_time - first.start_time < 5e9
    assert second.parent is None
    assert [span.status.is_ok for span in (first, second, third)] == [True, True, False]
