"""JSON schemas of answers that are the same for every model."""

from collections.abc import Sequence
from typing import Any

from models.card import ModelCard
from service.openapi.monitoring import monitoring_schemas
from service.openapi.schemas import (
    FLOAT32,
    NUMBER,
    PROBABILITY,
    TEXT,
    Schema,
    closed,
    listed,
    mapping,
    opened,
    reference,
    rows,
)
from service.wire.open_inference.outputs import OUTPUTS, SET
from service.wire.reasons import BACKGROUND, GIVEN, TYPICAL

FLAG: Schema = {"type": "boolean"}
VERSION: Schema = {"type": "integer", "minimum": 1}
REFERENCES = "#/components/schemas/{model}"


def common_schemas(*, with_sets: bool) -> dict[str, Schema]:
    """The schemas that every service has, by name; `with_sets` where a model has prediction sets."""
    card, parts = _card()
    parts["Feature"] = card["properties"]["features"]["items"]
    card["properties"]["features"]["items"] = reference("Feature")
    numbers = {"Number": NUMBER | FLOAT32, "NumberOrNull": {"type": ["number", "null"]} | FLOAT32}
    return {
        "Problem": _problem(),
        **numbers,
        **_predicting(),
        **_inferring([*OUTPUTS, SET] if with_sets else list(OUTPUTS)),
        **_telling(card["properties"]),
        **monitoring_schemas(),
        "ModelCard": card,
        **parts,
    }


def _problem() -> Schema:
    detail = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}
    return closed(
        {
            "error": TEXT | {"description": "one sentence: the rule, the place, the way out"},
            "code": TEXT,
            "details": listed(detail) | {"maxItems": 20},
            "request_id": TEXT,
        }
    )


def _predicting() -> dict[str, Schema]:
    """What stands in predictions and explanations of any model."""
    model = {"model": reference("ModelVersion")}
    decided = {"positive": TEXT, "threshold": PROBABILITY}
    explanation = closed(
        {
            "label": TEXT,
            "probability": PROBABILITY,
            "reference": {"type": "string", "enum": [TYPICAL, BACKGROUND, GIVEN]},
            "reference_probability": PROBABILITY | {"description": "of the same class, at the reference"},
            "method": {"type": "string", "enum": ["exact", "permutations"]},
            "values": mapping(NUMBER)
            | {"description": "Shapley values by feature; with reference_probability they sum to probability"},
        },
        {
            "standard_errors": mapping(NUMBER) | {"description": "of the values, where they were sampled"},
            "warnings": reference("FeatureWarnings"),
        },
    )
    return {
        "ModelVersion": closed({"name": TEXT, "version": VERSION}, decided),
        "Probabilities": mapping(PROBABILITY),
        "FeatureWarnings": rows(reference("FeatureWarning")),
        "FeatureWarning": closed({"feature": TEXT, "code": TEXT, "message": TEXT}),
        "Explanation": explanation | {"description": "What each feature adds to the probability of the label"},
        "ExplanationAnswer": closed(model | {"explanation": reference("Explanation")}),
        "ExplanationAnswers": closed(model | {"explanations": rows(reference("Explanation"))}),
    }


def _telling(card: Schema) -> dict[str, Schema]:
    """What a service tells of its models and of itself."""
    stage = opened({"version": VERSION, "state": TEXT}, {"share": NUMBER, "reason": TEXT})
    state = {
        "name": TEXT,
        "version": VERSION,
        "versions": listed(VERSION),
        "state": TEXT,
        "ready": FLAG,
        "lifecycle": listed(stage) | {"description": "every version, the highest first, and what it is loaded for"},
        "classes": listed(TEXT),
        "features": card["features"],
        "metrics": card["metrics"],
    }
    return {
        "Health": opened({"live": FLAG}, {"ready": FLAG}),
        "ModelState": opened(state),
        "ModelList": opened({"models": listed(reference("ModelState")), "default": {"type": ["string", "null"]}}),
        "ModelDetail": {"allOf": [reference("ModelState"), opened({"card": reference("ModelCard")})]},
    }


def _inferring(names: Sequence[str]) -> dict[str, Schema]:
    """What Open Inference Protocol V2 answers."""
    shape = listed({"type": "integer"})
    columns = {"type": "object", "properties": {"columns": listed(TEXT)}}
    tensor = opened({"name": TEXT, "datatype": TEXT, "shape": shape}, {"parameters": columns})
    sized = {"type": "object", "properties": {"binary_data_size": {"type": "integer"}}}
    data = {
        "type": "array",
        "items": {"anyOf": [NUMBER, TEXT, FLAG]},
        "description": "labels, probabilities, or what is in a set",
    }
    output = opened({"name": TEXT, "datatype": TEXT, "shape": shape}, {"data": data, "parameters": sized})
    tensors = listed(reference("TensorMetadata"))
    wish = {"type": ["object", "null"], "properties": {"binary_data": FLAG}}
    outputs = {"type": "string", "enum": names}
    count = {"type": "integer", "minimum": 0}
    counts = opened({"name": TEXT, "version": TEXT, "inference_count": count, "execution_count": count})
    return {
        "InferParameters": {"type": ["object", "null"], "properties": {"binary_data_output": FLAG}},
        "RequestedOutput": opened({"name": outputs}, {"parameters": wish}),
        "RequestedOutputs": {"type": ["array", "null"], "items": reference("RequestedOutput")},
        "ServerMetadata": opened({"name": TEXT, "version": TEXT, "extensions": listed(TEXT)}),
        "TensorMetadata": tensor,
        "ModelMetadata": opened(
            {"name": TEXT, "versions": listed(TEXT), "platform": TEXT, "inputs": tensors, "outputs": tensors}
        ),
        "ModelReady": opened({"name": TEXT, "ready": FLAG}),
        "ModelStatistics": opened({"model_stats": listed(counts)}),
        "IndexRequest": {"type": "object", "description": '{"ready": true}, or anything: all that is listed is ready'},
        "IndexEntry": opened({"name": TEXT, "version": TEXT, "state": TEXT, "reason": TEXT}),
        "OutputTensor": output,
        "InferResponse": opened(
            {"model_name": TEXT, "model_version": TEXT, "outputs": listed(reference("OutputTensor"))}, {"id": TEXT}
        ),
    }


def _card() -> tuple[Schema, dict[str, Schema]]:
    """The schema of a card, and those that it refers to."""
    card = _tidy(ModelCard.model_json_schema(mode="serialization", ref_template=REFERENCES))
    parts: dict[str, Schema] = card.pop("$defs")
    return card, parts


def _tidy(schema: Any) -> Any:
    """Pydantic's schema without titles that only repeat a name, and with `items` for `prefixItems`, which are alike."""
    if isinstance(schema, list):
        return [_tidy(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    tidied = {key: _tidy(part) for key, part in schema.items() if not (key == "title" and isinstance(part, str))}
    if "prefixItems" in tidied:
        tidied["items"] = tidied.pop("prefixItems")[0]
    if isinstance(tidied.get("const"), int):
        tidied["enum"] = [tidied.pop("const")]
    if "enum" in tidied:
        tidied.setdefault("type", "string")
    kind = tidied.get("properties", {}).get("kind", {})
    if "const" in kind:
        # A default would say that it may be left out, which no alternative that it tells apart may.
        kind.pop("default", None)
        tidied["required"] = sorted({*tidied["required"], "kind"}, key=list(tidied["properties"]).index)
    return tidied
