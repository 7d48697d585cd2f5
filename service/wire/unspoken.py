"""Routes of other servers that are not spoken here, though their clients may ask them: what to use instead."""

import re

_MODEL = "/v2/models/[^/]+(/versions/[^/]+)?"
_INSTEAD = {
    "/v2/repository/models/[^/]+/(load|unload)": "models are not loaded by request: `evenkeel fit` publishes a "
    "version, and `evenkeel models promote` or `rollback` decides which one serves",
    f"{_MODEL}/config": "models have no such configuration: GET /v2/models/MODEL describes the tensors of one, and "
    "GET /v1/models/MODEL has its card",
    f"(/v2|{_MODEL})/trace/setting": "traces are set at the start, by EVENKEEL_TRACING and OpenTelemetry's OTEL_*",
    "/v2/logging": "the log is set at the start, by EVENKEEL_LOG_LEVEL and EVENKEEL_ACCESS_LOG",
    "/v2/(system|cuda)sharedmemory(/.*)?": "memory is not shared with clients: send tensors in the body, as binary "
    "data behind the JSON, whose length Inference-Header-Content-Length gives",
    f"{_MODEL}/generate(_stream)?": "models classify here: POST /v2/models/MODEL/infer asks one",
    "/v1/models/[^/]+:(classify|regress)": "POST /v1/models/MODEL:predict asks a model",
    "/v1/models/[^/]+/metadata": "GET /v1/models/MODEL has the card of a model, and GET /v2/models/MODEL its tensors",
    "/v1/models/[^/:]+/labels/.*": "versions have numbers and no labels: /v1/models/MODEL/versions/NUMBER:predict asks "
    "one, /v1/models/MODEL:predict the one that serves",
}
_PATTERNS = [(re.compile(pattern), sentence) for pattern, sentence in _INSTEAD.items()]


def instead(path: str) -> str | None:
    """What to use instead of a route that is none here; None where no other server has it either."""
    return next((sentence for pattern, sentence in _PATTERNS if pattern.fullmatch(path)), None)
