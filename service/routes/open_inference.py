"""Open Inference Protocol V2: metadata, readiness, repository index."""

from flask import Response, request

from service.document import JSON, decode
from service.errors import InvalidTensor
from service.prediction.body import read_body
from service.prediction.prediction import UNBOUNDED
from service.registry.registry import Registry
from service.routes import Views, answer
from service.telemetry.drift import Drift
from service.wire.open_inference.metadata import SERVER, index, metadata, statistics

LONGEST_INDEX_REQUEST = 1 << 16


def open_inference(registry: Registry, drift: Drift) -> Views:
    """The server, its models, what they have answered, and the index of the repository."""

    def server() -> Response:
        return answer(SERVER)

    def describe(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer(metadata(predictor, registry.versions(model)))

    def ready(model: str, version: str | None = None) -> Response:
        predictor = registry.predictor(model, version)
        return answer({"name": predictor.card.name, "ready": True})

    def count(model: str, version: str | None = None) -> Response:
        named = registry.predictor(model, version)
        versions = registry.versions(model) if version is None else [named.version]
        loaded = [registry.predictor(model, str(one)) for one in versions]
        # They are counted with the rows of drift, which needs to know what training saw.
        return answer(statistics((one, drift.answered(one.watch)) for one in loaded if one.watch is not None))

    def list_versions() -> Response:
        # A client that sends nothing may call it anything.
        empty = not (request.content_length or request.environ.get("wsgi.input_terminated"))
        environ = {**request.environ, "CONTENT_TYPE": JSON} if empty else request.environ
        body = read_body(environ, LONGEST_INDEX_REQUEST, frozenset({JSON}), UNBOUNDED)
        # Clients send nothing, or {"ready": true}; all that is listed is ready, so neither changes the answer.
        if body and not isinstance(decode(body), dict):
            raise InvalidTensor('the request must be {"ready": true}, {"ready": false} or nothing')
        return answer(index(registry.predictors))

    return {
        "server": server,
        "server_slash": server,
        "metadata": describe,
        "metadata_version": describe,
        "ready_model": ready,
        "ready_version": ready,
        "statistics": count,
        "statistics_version": count,
        "index": list_versions,
    }
