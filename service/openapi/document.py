"""The whole document: the routes that every service has, and those that ask each loaded model."""

from collections.abc import Sequence
from typing import Any

from models import __version__
from service.document import JSON
from service.openapi import schemas
from service.openapi.answers import common_schemas
from service.openapi.asked import Asked, asked
from service.openapi.names import Names
from service.openapi.operations import (
    ANSWERED,
    FOUND,
    HEADERS,
    RANGES,
    REQUEST_ID,
    in_json,
    operation,
    refusals,
    share,
)
from service.openapi.schemas import Schema, listed, reference
from service.prediction.predictor import Predictor
from service.routes.table import path_of
from service.telemetry.exposition import CONTENT_TYPE
from service.wire.open_inference.answers import OCTETS

TEXT: Schema = {"type": "string"}
HTML = {"text/html": {"schema": TEXT}}
# What no model is alone in; no model has such a name.
MODELS, SERVICE = "All models", "The service"
TAGS = [
    {"name": MODELS, "description": "What is served: cards, versions, metadata."},
    {"name": SERVICE, "description": "Health, metrics, and this description."},
]
# Where a path names no version.
REQUEST_KEY: Schema = {
    "name": "X-Request-Key",
    "in": "header",
    "description": "requests with the same key are answered by the same version while there is a canary",
    "schema": TEXT,
}
NOT_MODIFIED = {"description": "as it was when it had the ETag that If-None-Match names", "headers": REQUEST_ID}


def document(serving: Sequence[Predictor], loaded: Sequence[Predictor], default: Predictor | None) -> dict[str, Any]:
    """Describe a service of these versions: what serves of each model, all that are loaded, and what /predict asks."""
    components = common_schemas(with_sets=any(one.sets is not None for one in loaded))
    names = Names(components)
    paths: dict[str, Schema] = {}
    tags: list[Schema] = []
    for predictor in serving:
        card = predictor.card
        model = asked(names, predictor, [one for one in loaded if one.card.name == card.name])
        components |= model.schemas
        if default is not None and default.card.name == card.name:
            components |= schemas.table_schemas(model.base, card)
            components[f"{model.base}TableRecord"] = schemas.table_record(card)
            paths |= _default_paths(model)
        tags.append({"name": card.name, "description": model.told})
        paths |= _model_paths(model)
    paths |= _common_paths()
    shared = share(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Evenkeel",
            "version": __version__,
            "description": "Probabilities from batch-normalised networks, on the statistics that training froze.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        # Where this document lies, whatever is in front of the service.
        "servers": [{"url": "."}],
        "security": [],
        "tags": [*tags, *TAGS],
        "paths": paths,
        "components": {
            "schemas": components,
            "requestBodies": shared["requestBodies"],
            "responses": shared["responses"] | refusals(*ANSWERED, *RANGES),
            "parameters": _parameters(loaded),
            "headers": HEADERS,
        },
    }


def _default_paths(model: Asked) -> dict[str, Schema]:
    base, card = model.base, model.card
    tables = [reference(name) for name in schemas.table_schemas(base, card)]
    described = operation(
        "invocations",
        card.name,
        "Ask as MLflow and SageMaker do",
        in_json(reference(f"{base}Answers")),
        in_json({"oneOf": tables}, {"dataframe_records": [schemas.example(card)]}),
        *ANSWERED,
    )
    more = {"description": "A table as `text/csv` with a header is read too.", "parameters": [_parameter("Key")]}
    return {
        path_of("predict"): {"post": _predict(model, "predict", "Ask the default model", versions=False)},
        path_of("invocations"): {"post": described | more},
    }


def _model_paths(model: Asked) -> dict[str, Schema]:
    """One path for what serves, and one for each loaded version."""
    paths: dict[str, Schema] = {}
    for route, versions in (("model", False), ("version", True)):
        behind = f"{model.base}{'Version' * versions}"
        of = f"{'one version of ' * versions}{model.card.name}"
        predict = _predict(model, f"predict{behind}", f"Ask {of}", versions=versions)
        explain = _explain(model, f"explain{behind}", f"Why {of} answers as it does", versions=versions)
        infer = _infer(model, f"infer{behind}", f"Ask {of}, with tensors", versions=versions)
        paths |= {
            path_of(f"predict_{route}", model.card.name): {"post": predict},
            path_of(f"explain_{route}", model.card.name): {"post": explain},
            path_of("infer_version" if versions else "infer", model.card.name): {"post": infer},
        }
    return paths


def _predict(model: Asked, name: str, summary: str, *, versions: bool) -> Schema:
    bases = model.bases if versions else [model.base]
    answer = schemas.one_of(f"{base}{one}" for base in bases for one in ("Answer", "Answers"))
    request = model.request("Instance", "Instances", versions=versions)
    example = {"instance": schemas.example(model.card)}
    return _choosing(
        operation(name, model.card.name, summary, in_json(answer), in_json(request, example), *ANSWERED),
        versions,
    )


def _explain(model: Asked, name: str, summary: str, *, versions: bool) -> Schema:
    card = model.card
    request = model.request("Question", "Questions", versions=versions)
    example: Schema = {"instance": schemas.example(card)}
    if model.needs_reference(versions=versions):
        example["reference"] = schemas.example(card)
    answer = schemas.one_of(("ExplanationAnswer", "ExplanationAnswers"))
    return _choosing(
        operation(name, card.name, summary, in_json(answer), in_json(request, example), *ANSWERED), versions
    )


def _infer(model: Asked, name: str, summary: str, *, versions: bool) -> Schema:
    request = schemas.one_of(f"{base}InferRequest" for base in (model.bases if versions else [model.base]))
    answer = {JSON: {"schema": reference("InferResponse")}, OCTETS: {"schema": {"type": "string", "format": "binary"}}}
    content = in_json(request, schemas.infer_example(model.card))
    return _choosing(operation(name, model.card.name, summary, answer, content, 404, 503), versions)


def _common_paths() -> dict[str, Schema]:
    def get(name: str, route: str, tag: str, summary: str, answer: Schema, *parameters: Schema) -> dict[str, Schema]:
        described = operation(name, tag, summary, answer, None, *(FOUND if parameters else ()))
        return {path_of(route): {"get": described | ({"parameters": list(parameters)} if parameters else {})}}

    model, version = _parameter("Model"), _parameter("Version")
    health, detail = in_json(reference("Health")), in_json(reference("ModelDetail"))
    server, drift = in_json(reference("ServerMetadata")), in_json(reference("Drift"))
    performance = in_json(reference("Performance"))
    metadata, ready = in_json(reference("ModelMetadata")), in_json(reference("ModelReady"))
    counted = in_json(reference("ModelStatistics"))
    # Nothing, or an object: what stands in it changes nothing, so anything may.
    index = operation(
        "repositoryIndex",
        MODELS,
        "Every loaded version",
        in_json(listed(reference("IndexEntry"))),
        in_json(reference("IndexRequest"), {}),
    )
    index["requestBody"]["required"] = False
    feedback = operation(
        "feedback",
        MODELS,
        "True classes of answers",
        in_json(reference("FeedbackResult")),
        in_json(reference("Feedback"), {"id": "4f0c", "index": 0, "label": "A"}),
        *ANSWERED,
    )
    paths = {
        **get("listModels", "models", MODELS, "What is served", in_json(reference("ModelList"))),
        **get("card", "card", MODELS, "The card of what serves of a model", detail, model),
        **get("cardVersion", "card_version", MODELS, "The card of a version", detail, model, version),
        **get("report", "report", MODELS, "The report of a version's training", HTML, model, version),
        **get("drift", "drift", MODELS, "Drift of what serves of a model", drift, model),
        **get("driftVersion", "drift_version", MODELS, "Drift of a version", drift, model, version),
        **get("performance", "performance", MODELS, "Performance of what serves of a model", performance, model),
        **get(
            "performanceVersion",
            "performance_version",
            MODELS,
            "Performance of one version",
            performance,
            model,
            version,
        ),
        path_of("feedback"): {"post": feedback},
        **get("serverMetadata", "server", MODELS, "The server's name and version", server),
        **get("metadata", "metadata", MODELS, "The tensors of a model", metadata, model),
        **get("metadataVersion", "metadata_version", MODELS, "The tensors of a version", metadata, model, version),
        **get("modelReady", "ready_model", MODELS, "Whether a model is loaded", ready, model),
        **get("versionReady", "ready_version", MODELS, "Whether a version is loaded", ready, model, version),
        **get("statistics", "statistics", MODELS, "How much a model has answered", counted, model),
        **get("statisticsVersion", "statistics_version", MODELS, "How much a version has", counted, model, version),
        path_of("index"): {"post": index},
        **get("live", "live", SERVICE, "Whether the process lives", health),
        **get("ready", "ready", SERVICE, "Whether a model is loaded", health),
        **get("healthz", "healthz", SERVICE, "Whether the process lives, as Kubernetes names it", health),
        **get("readyz", "readyz", SERVICE, "Whether a model is loaded, as Kubernetes names it", health),
        **get("ping", "ping", SERVICE, "Whether a model is loaded, as SageMaker asks", health),
        **get("health", "health", SERVICE, "Whether a model is loaded, as MLflow asks", health),
        **get("version", "version", SERVICE, "The service's version, as MLflow asks", {"text/plain": {"schema": TEXT}}),
        **get("metrics", "metrics", SERVICE, "Metrics for Prometheus", {CONTENT_TYPE: {"schema": TEXT}}),
        **get("openapi", "openapi", SERVICE, "This document", in_json({"type": "object"})),
        **get("docs", "docs", SERVICE, "This document, as a page", HTML),
        **get("page", "page", SERVICE, "The page to try a model on", HTML),
    }
    paths[path_of("openapi")]["get"]["responses"] |= {"304": NOT_MODIFIED}
    return paths


def _parameters(loaded: Sequence[Predictor]) -> dict[str, Schema]:
    def in_path(name: str, told: str, schema: Schema, example: object) -> Schema:
        described = {"name": name, "in": "path", "required": True, "description": told, "schema": schema}
        return described | ({} if example is None else {"example": example})

    model, version = (loaded[0].card.name, loaded[0].version) if loaded else (None, None)
    return {
        "Model": in_path("model", "the name of a model", TEXT, model),
        "Version": in_path("version", "a version that is loaded", {"type": "integer", "minimum": 1}, version),
        "Key": REQUEST_KEY,
    }


def _choosing(described: Schema, versions: bool) -> Schema:
    return described | {"parameters": [_parameter("Version" if versions else "Key")]}


def _parameter(name: str) -> Schema:
    return {"$ref": f"#/components/parameters/{name}"}
