"""JSON schemas of what a model takes and gives, from its card."""

from collections.abc import Sequence
from typing import Any

from models.card import ModelCard
from models.cells import iso_date
from models.features import FLOAT32_MAX, Feature, Value
from service.wire.reasons import BACKGROUND, GIVEN, MOST_ROWS, TYPICAL

Schema = dict[str, Any]

# As many as a page can show; a column of ten thousand categories needs no schema of ten thousand lines.
MOST_CATEGORIES = 100


def value(feature: Feature) -> Schema:
    """What one feature may be. Ranges and categories of training are told, not required: others are answered too."""
    kinds = ["number" if feature.kind == "numeric" else "string"]
    kinds += ["boolean"] * (feature.reading.boolean is not None) + ["null"] * feature.nullable
    schema: Schema = {"type": kinds if len(kinds) > 1 else kinds[0]}
    if feature.kind == "numeric":
        schema |= {"minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
        schema["description"] = f"{feature.minimum:.6g} to {feature.maximum:.6g} in training"
    elif feature.kind == "date":
        low, high = (iso_date(round(days)) for days in (feature.minimum, feature.maximum))
        schema["description"] = f"an ISO 8601 date, with or without a time; {low} to {high} in training"
    else:
        shown = ", ".join(feature.categories[:MOST_CATEGORIES])
        rest = len(feature.categories) - MOST_CATEGORIES
        schema["description"] = f"in training: {shown}{f' and {rest} more' if rest > 0 else ''}"
    return schema


def record(card: ModelCard) -> Schema:
    """A row by feature name."""
    return {
        "type": "object",
        "title": f"A record of {card.name}",
        "properties": {feature.name: value(feature) for feature in card.features},
        "required": [feature.name for feature in card.features],
        "additionalProperties": False,
        "examples": [example(card)],
    }


def values(features: Sequence[Feature]) -> Schema:
    """A row by position."""
    return {
        "type": "array",
        "title": "Values in order: " + ", ".join(feature.name for feature in features)[:200],
        "prefixItems": [value(feature) for feature in features],
        "items": False,
        "minItems": len(features),
        "maxItems": len(features),
    }


def row(card: ModelCard, reference: Schema) -> Schema:
    """A row by name or by position; `reference` leads to the record."""
    return {"anyOf": [reference, values(card.features)]}


def predict_request(card: ModelCard, row: Schema) -> Schema:
    """One row or several; few of them with explanations, where the model has what those are held against."""
    asks = [_closed({"instance": row}), _closed({"instances": _rows(row)})]
    for ask in asks:
        ask["properties"]["explain"] = {"const": False}
    if card.typical is not None:
        told = {"const": True, "description": "with an explanation of each prediction, as :explain gives it"}
        asks += [_closed({"instance": row, "explain": told}), _closed({"instances": _few(row), "explain": told})]
    return {"oneOf": asks, "examples": [{"instance": example(card)}]}


def invocations_request(card: ModelCard, reference: Schema) -> Schema:
    """A table in one of four layouts."""
    names = [feature.name for feature in card.features]
    split = {"type": "object", "properties": {"columns": {"const": names}, "data": _rows(values(card.features))}}
    layouts = {
        "dataframe_split": split | {"required": ["columns", "data"]},
        "dataframe_records": _rows(reference),
        "instances": _rows(row(card, reference)),
        "inputs": _rows(row(card, reference)),
    }
    params = {"params": {"description": "let through"}}
    return {
        "oneOf": [
            {
                "type": "object",
                "properties": {layout: schema} | params,
                "required": [layout],
                "additionalProperties": False,
            }
            for layout, schema in layouts.items()
        ],
        "examples": [{"dataframe_records": [example(card)]}],
    }


def prediction(card: ModelCard) -> Schema:
    """What is said of one row."""
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    warning = _closed({name: {"type": "string"} for name in ("feature", "code", "message")})
    schema = _closed(
        {
            "label": {"enum": list(card.classes)},
            "probability": probability,
            "probabilities": _closed(dict.fromkeys(card.classes, probability)),
        }
    )
    schema["properties"]["warnings"] = {"type": "array", "minItems": 1, "items": warning}
    return schema


def predict_answer(card: ModelCard, version: int | None, several: bool | None) -> Schema:
    """The answer to one row, to several, or (None) to either; of the version, or of whichever is the newest."""
    answered = prediction(card)
    if several is None:
        answered["properties"]["explanation"] = explanation(card)
    return _answer(card, version, "prediction", answered, several)


def _answer(card: ModelCard, version: int | None, kind: str, said: Schema, several: bool | None) -> Schema:
    """What is said of one row, of several, or of either, and by which model."""
    model = _closed({"name": {"const": card.name}, "version": {"type": "integer", "minimum": 1}})
    if version is not None:
        model["properties"]["version"] = {"const": version}
    if card.threshold is not None:
        decided = {"positive": {"const": card.positive}, "threshold": {"const": card.threshold}}
        model["properties"] |= decided
        model["required"] += decided
    one = _closed({"model": model, kind: said})
    many = _closed({"model": model, f"{kind}s": _rows(said)})
    return many if several else {"oneOf": [one, many]}


def explain_request(card: ModelCard, row: Schema) -> Schema:
    """One row or few, and what they are held against."""
    held = [TYPICAL] * (card.typical is not None) + [BACKGROUND] * bool(card.background)
    reference = {"anyOf": [*([{"enum": held}] if held else []), row]}
    asks = [_closed({"instance": row}), _closed({"instances": _few(row)})]
    example_request: Schema = {"instance": example(card)}
    for ask in asks:
        ask["properties"]["reference"] = reference
        if card.typical is None:
            ask["required"].append("reference")
            example_request["reference"] = example(card)
    return {"oneOf": asks, "examples": [example_request]}


def explanation(card: ModelCard) -> Schema:
    """What each feature adds to the probability of the predicted class."""
    probability = {"type": "number", "minimum": 0, "maximum": 1}
    by_feature = _closed({feature.name: {"type": "number"} for feature in card.features})
    schema = _closed(
        {
            "label": {"enum": list(card.classes)},
            "probability": probability,
            "reference": {"enum": [TYPICAL, BACKGROUND, GIVEN]},
            "reference_probability": probability | {"description": "of the same class, at the reference"},
            "method": {"enum": ["exact", "permutations"]},
            "values": by_feature
            | {"description": "Shapley values; with reference_probability they sum to probability"},
        }
    )
    schema["properties"]["standard_errors"] = by_feature | {"description": "of the values, where they were sampled"}
    return schema


def explain_answer(card: ModelCard, version: int | None) -> Schema:
    """The answer to one row or to several; of the version, or of whichever is the newest."""
    explained = explanation(card)
    explained["properties"]["warnings"] = prediction(card)["properties"]["warnings"]
    return _answer(card, version, "explanation", explained, None)


def infer_request(card: ModelCard) -> Schema:
    """Tensors of one row. Of n rows the first dimension is n and the data n times as long."""
    inputs = [
        _tensor("numeric", "FP32", card.numeric),
        _tensor("categorical", "BYTES", card.categorical),
    ]
    inputs = [one for one in inputs if one is not None]
    output = {
        "type": "object",
        "properties": {
            "name": {"enum": ["label", "probabilities"]},
            "parameters": {"type": ["object", "null"], "properties": {"binary_data": {"type": "boolean"}}},
        },
        "required": ["name"],
    }
    example_row = example(card)
    tensors = [
        {
            "name": name,
            "datatype": datatype,
            "shape": [1, len(features)],
            "data": [example_row[feature.name] for feature in features],
        }
        for name, datatype, features in (("numeric", "FP32", card.numeric), ("categorical", "BYTES", card.categorical))
        if features
    ]
    return {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"]},
            "parameters": {"type": ["object", "null"], "properties": {"binary_data_output": {"type": "boolean"}}},
            "inputs": {
                "type": "array",
                "prefixItems": inputs,
                "items": False,
                "minItems": len(inputs),
                "maxItems": len(inputs),
            },
            "outputs": {"type": ["array", "null"], "items": output},
        },
        "required": ["inputs"],
        "examples": [{"inputs": tensors}],
    }


def example(card: ModelCard) -> dict[str, Value]:
    """A record that the model is known to answer."""
    return dict(card.golden[0].instance)


def _tensor(name: str, datatype: str, features: Sequence[Feature]) -> Schema | None:
    if not features:
        return None
    fields: dict[str, Schema] = {
        "name": {"const": name},
        "datatype": {"const": datatype},
        "shape": {"const": [1, len(features)]},
        "data": values(features),
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def _rows(schema: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": schema}


def _few(schema: Schema) -> Schema:
    return _rows(schema) | {"maxItems": MOST_ROWS}


def _closed(properties: dict[str, Any]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
