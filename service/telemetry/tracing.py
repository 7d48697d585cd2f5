"""Spans for OpenTelemetry: one for each request, the child of its client's. The only module that knows the library.

Where they go and under which name: OpenTelemetry's own variables say (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME).
"""

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from models import __version__
from service.telemetry.observer import Trace

# OpenTelemetry's own names of what it knows.
NAMES = {
    "client": "client.address",
    "method": "http.request.method",
    "path": "url.path",
    "route": "http.route",
    "status": "http.response.status_code",
}


def spans(processor: SpanProcessor | None = None) -> Trace:
    """What to call after each request: with its route, its traceparent, the fields of its event and its seconds."""
    provider = TracerProvider(resource=Resource.create({"service.version": __version__}))
    provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("evenkeel", __version__)
    propagator = TraceContextTextMapPropagator()

    def trace(route: str, traceparent: str | None, event: Mapping[str, Any], seconds: float) -> None:
        end = time.time_ns()
        parent = propagator.extract({"traceparent": traceparent} if traceparent else {})
        attributes = {NAMES.get(name, f"evenkeel.{name}"): value for name, value in event.items()}
        start = end - round(seconds * 1_000_000_000)
        span = tracer.start_span(route, parent, SpanKind.SERVER, attributes, start_time=start)
        if event["status"] >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)

    return trace
