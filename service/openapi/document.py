"""The whole document: the routes that every service has, and those of each loaded model."""

from collections.abc import Sequence
from typing import Any

from models import __version__
from models.card import ModelCard
from service.document import JSON
from service.openapi import schemas
from service.openapi.operations import ERROR, in_json, operation, reference
from service.openapi.schemas import Schema
from service.prediction.predictor import Predictor
from service.routes.table import path_of
from service.telemetry.exposition import CONTENT_TYPE
from service.wire.open_inference.answers import OCTETS

OBJECT: Schema = {"type": "object"}
TEXT: Schema = {"type": "string"}
HTML = {"text/html; charset=utf-8": {"schema": TEXT}}
REFERENCES = "#/components/schemas/{model}"
# Where a path names no version.
REQUEST_KEY: Schema = {
    "name": "X-Request-Key",
    "in": "header",
    "description": "requests with the same key are answered by the same version while there is a canary",
    "schema": TEXT,
}


def document(serving: Sequence[Predictor], loaded: Sequence[Predictor], default: Predictor | None) -> dict[str, Any]:
    """Describe a service of these versions: what serves of each model, all that are loaded, and what /predict asks."""
    card = ModelCard.model_json_schema(mode="serialization", ref_template=REFERENCES)
    components: dict[str, Schema] = {"Error": ERROR, **card.pop("$defs"), "ModelCard": card}
    paths: dict[str, Schema] = {}
    if default is not None:
        paths[path_of("predict")] = {"post": _predict(default, "predict", "Ask the default model", None)}
        paths[path_of("invocations")] = {"post": _invocations(default)}
    for predictor in serving:
        paths |= _model_paths(predictor, predictor.card.name, None)
    for predictor in loaded:
        name = predictor.card.name
        components[_record_name(predictor)] = schemas.record(predictor.card)
        paths |= _model_paths(predictor, f"{name}_{predictor.version}", predictor.version)
    paths |= _common_paths()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Evenkeel",
            "version": __version__,
            "description": "Probabilities from batch-normalised networks, on the statistics that training froze.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _common_paths() -> dict[str, Schema]:
    health = in_json({"type": "object", "properties": {"live": {"const": True}, "ready": {"const": True}}})
    index = {"type": "array", "items": {"type": "object", "required": ["name", "version", "state", "reason"]}}
    # Nothing, or an object: what stands in it changes nothing, so anything may.
    index_request = operation("repository_index", "Every loaded version", in_json(index), in_json(OBJECT))
    index_request["requestBody"]["required"] = False
    return {
        path_of("page"): {"get": operation("page", "The page to try a model on", HTML)},
        path_of("docs"): {"get": operation("docs", "This document, as a page", HTML)},
        path_of("openapi"): {"get": operation("openapi", "This document", in_json(OBJECT))},
        path_of("metrics"): {"get": operation("metrics", "Metrics for Prometheus", {CONTENT_TYPE: {"schema": TEXT}})},
        path_of("ping"): {"get": operation("ping", "Whether a model is loaded", health)},
        path_of("models"): {
            "get": operation("models", "What is served", in_json({"type": "object", "required": ["models"]}))
        },
        path_of("server"): {"get": operation("server", "Open Inference Protocol: the server", in_json(OBJECT))},
        path_of("live"): {"get": operation("live", "Whether the process lives", health)},
        path_of("ready"): {"get": operation("ready", "Whether a model is loaded", health)},
        path_of("index"): {"post": index_request},
    }


def _model_paths(predictor: Predictor, name: str, version: int | None) -> dict[str, Schema]:
    card = predictor.card

    def path(any_version: str, one_version: str) -> str:
        return path_of(any_version if version is None else one_version, card.name, str(version))

    of = f"{card.name}" if version is None else f"{card.name}, version {version}"
    state = {"type": "object", "properties": {"card": reference("ModelCard")}, "required": ["name", "version", "card"]}
    ready = {"type": "object", "properties": {"name": {"const": card.name}, "ready": {"const": True}}}
    return {
        path("predict_model", "predict_version"): {
            "post": _predict(predictor, f"predict_{name}", f"Ask {of}", version)
        },
        path("explain_model", "explain_version"): {
            "post": _explain(predictor, f"explain_{name}", f"Why {of} answers as it does", version)
        },
        path("card", "card_version"): {"get": operation(f"card_{name}", f"The card of {of}", in_json(state))},
        path("metadata", "metadata_version"): {
            "get": operation(f"metadata_{name}", f"Open Inference Protocol: {of}", in_json(OBJECT))
        },
        **({} if version is None else {path_of("report", card.name, str(version)): {"get": _report(of, name)}}),
        path("ready_model", "ready_version"): {
            "get": operation(f"ready_{name}", f"Whether {of} is loaded", in_json(ready))
        },
        path("infer", "infer_version"): {"post": _infer(predictor, f"infer_{name}", of, version)},
    }


def _report(of: str, name: str) -> Schema:
    return operation(f"report_{name}", f"The report of the training of {of}", HTML)


def _predict(predictor: Predictor, name: str, summary: str, version: int | None) -> Schema:
    card = predictor.card
    row = schemas.row(card, reference(_record_name(predictor)))
    answer = schemas.predict_answer(card, version, several=None)
    request = schemas.predict_request(card, row)
    return _choosing(operation(name, summary, in_json(answer), in_json(request), 422, 504), version)


def _explain(predictor: Predictor, name: str, summary: str, version: int | None) -> Schema:
    card = predictor.card
    request = schemas.explain_request(card, schemas.row(card, reference(_record_name(predictor))))
    answer = schemas.explain_answer(card, version)
    return _choosing(operation(name, summary, in_json(answer), in_json(request), 422, 504), version)


def _invocations(predictor: Predictor) -> Schema:
    card = predictor.card
    answer = schemas.predict_answer(card, None, several=True)
    request = schemas.invocations_request(card, reference(_record_name(predictor)))
    described = operation("invocations", "Ask as MLflow and SageMaker do", in_json(answer), in_json(request), 422, 504)
    return _choosing(described, None) | {"description": "A table as `text/csv` with a header is read too."}


def _infer(predictor: Predictor, name: str, of: str, version: int | None) -> Schema:
    answer = {
        "type": "object",
        "properties": {
            "model_name": {"const": predictor.card.name},
            "model_version": TEXT,
            "outputs": {"type": "array"},
        },
        "required": ["model_name", "model_version", "outputs"],
    }
    content = {JSON: {"schema": answer}, OCTETS: {"schema": {"type": "string", "format": "binary"}}}
    described = operation(
        name, f"Open Inference Protocol: ask {of}", content, in_json(schemas.infer_request(predictor.card)), 504
    )
    more = "other datatypes, columns by feature and binary tensors are read too; see docs/http.md"
    told = {"description": f"Described for one row; of n rows the shape begins with n. Also {more}."}
    return _choosing(described, version) | told


def _choosing(described: Schema, version: int | None) -> Schema:
    return described | {"parameters": [REQUEST_KEY]} if version is None else described


def _record_name(predictor: Predictor) -> str:
    return f"{predictor.card.name}.{predictor.version}"
