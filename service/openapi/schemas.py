"""JSON schemas of what a model takes and gives, from its card.

Only what generators of clients read alike is used: no `items: false`, no constant but a text, a type beside every
`enum`. A list whose places differ has `prefixItems` and, for those that do not know it, `items` that fit each.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from models.card import ModelCard
from models.cells import iso_date, spelled_code
from models.features import FLOAT32_MAX, Feature, Value, codes_of
from service.wire.reasons import BACKGROUND, MOST_ROWS, TYPICAL

Schema = dict[str, Any]

# As many as a page can show; a column of ten thousand categories needs no schema of ten thousand lines.
MOST_CATEGORIES = 100
FLOAT32: Schema = {"minimum": -FLOAT32_MAX, "maximum": FLOAT32_MAX}
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
PROBABILITY: Schema = {"type": "number", "minimum": 0, "maximum": 1}


def value(feature: Feature) -> Schema:
    """What one feature may be. Ranges and categories of training are told, not required: others are answered too."""
    schema = _place(feature)
    if codes := codes_of(feature):
        schema["description"] = f"in training: {', '.join(map(spelled_code, codes))}"
    elif feature.kind == "numeric":
        schema["description"] = f"{feature.minimum:.6g} to {feature.maximum:.6g} in training"
    elif feature.kind == "date":
        low, high = (iso_date(round(days)) for days in (feature.minimum, feature.maximum))
        schema["description"] = f"an ISO 8601 date, with or without a time; {low} to {high} in training"
    else:
        shown = ", ".join(feature.categories[:MOST_CATEGORIES])
        rest = len(feature.categories) - MOST_CATEGORIES
        schema["description"] = f"in training: {shown}{f' and {rest} more' if rest > 0 else ''}"
    return schema


def shape(card: ModelCard) -> object:
    """What versions have in common whose schemas are the same, but for what they tell of training."""
    level = card.sets and card.sets.level
    return [(feature.name, _plain(feature)) for feature in card.features], card.classes, level


def record(card: ModelCard) -> Schema:
    """A row by feature name; the requests have an example of it."""
    fields = {feature.name: value(feature) for feature in card.features}
    return closed(fields)


def values(features: Sequence[Feature], like: str = "") -> Schema:
    """A row by position; the positions are named in words, or by the schema that they are `like`."""
    order = f"those of {like}" if like else ", ".join(feature.name for feature in features)[:200]
    return in_order([_place(feature) for feature in features]) | {"description": f"In order: {order}"}


# A switch, which has a name of its own nowhere: so no schema is left over where no model has a typical row.
EXPLAIN: Schema = {"type": "boolean", "description": f"explain each row too, {MOST_ROWS} at most"}


def model_schemas(base: str, card: ModelCard) -> dict[str, Schema]:
    """The schemas of a model by name, all of which begin with `base`; but for what it is asked."""
    tensors = {
        base + suffix: tensor
        for suffix, name, datatype, features in (
            ("Numeric", "numeric", "FP32", card.numeric),
            ("Categorical", "categorical", "BYTES", card.categorical),
        )
        if (tensor := _tensor(name, datatype, features)) is not None
    }
    said: dict[str, Schema] = {
        "label": reference(f"{base}Label"),
        "probability": PROBABILITY,
        "probabilities": reference("Probabilities"),
    }
    if card.sets is not None:
        told = {"description": f"holds the true class in {card.sets.level:g} of all answers"}
        said |= {"set": rows(said["label"]) | told, "certain": {"type": "boolean"}}
    maybe = {"warnings": reference("FeatureWarnings"), "explanation": reference("Explanation")}
    model = {"model": reference("ModelVersion")}
    return {
        base: record(card),
        f"{base}Values": values(card.features, base),
        f"{base}Row": {"anyOf": [reference(base), reference(f"{base}Values")]},
        f"{base}Label": {"type": "string", "enum": list(card.classes)},
        f"{base}Prediction": closed(said, maybe),
        f"{base}Answer": closed(model | {"prediction": reference(f"{base}Prediction")}),
        f"{base}Answers": closed(model | {"predictions": rows(reference(f"{base}Prediction"))}),
        **tensors,
        **{_shape_name(one): _shape(1, len(one)) for one in (card.numeric, card.categorical) if one},
        f"{base}InferRequest": _infer_request([reference(name) for name in tensors]),
    }


def request_schemas(name: str, base: str, cards: Sequence[ModelCard]) -> dict[str, Schema]:
    """What any of these versions of a model takes: a question or several, for predictions and for explanations. The
    names begin with `name`, those of the records that it is asked about with `base`.
    """
    row = reference(f"{base}Row")
    explain = {"explain": EXPLAIN} if all(card.typical is not None for card in cards) else {}
    held = [TYPICAL] * bool(explain) + [BACKGROUND] * all(card.background for card in cards)
    against: Schema = {"anyOf": [{"type": "string", "enum": held}, row]} if held else row
    # Without a typical row something has to be said.
    one, may = ({}, {"reference": against}) if explain else ({"reference": against}, {})
    few = rows(row) | {"maxItems": MOST_ROWS}
    return {
        f"{name}Instance": closed({"instance": row}, explain),
        f"{name}Instances": closed({"instances": rows(row)}, explain),
        f"{name}Question": closed({"instance": row} | one, may),
        f"{name}Questions": closed({"instances": few} | one, may),
    }


def table_record(card: ModelCard) -> Schema:
    """A row of a table by feature name, which may have other columns."""
    schema = closed({feature.name: _place(feature) for feature in card.features})
    del schema["additionalProperties"]
    return schema | {"description": "Other columns are passed over"}


def table_schemas(base: str, card: ModelCard) -> dict[str, Schema]:
    """A table in one of four layouts, beside `table_record` as the record of a table."""
    by_name = reference(f"{base}TableRecord")
    row = {"anyOf": [by_name, reference(f"{base}Values")]}
    names = in_order([{"type": "string", "const": feature.name} for feature in card.features])
    split = closed({"columns": names, "data": rows(reference(f"{base}Values"))})
    del split["additionalProperties"]
    layouts = {
        "dataframe_split": split,
        "dataframe_records": rows(by_name),
        "instances": rows(row),
        "inputs": rows(row),
    }
    params: dict[str, Schema] = {"params": {}}
    return {
        f"{base}Table{layout.removeprefix('dataframe_').capitalize()}": closed({layout: schema}, params)
        for layout, schema in layouts.items()
    }


def example(card: ModelCard) -> dict[str, Value]:
    """A record that the model is known to answer."""
    return dict(card.golden[0].instance)


def infer_example(card: ModelCard) -> Schema:
    """The same as tensors."""
    row = example(card)
    tensors = (("numeric", "FP32", card.numeric), ("categorical", "BYTES", card.categorical))
    return {
        "inputs": [
            {
                "name": name,
                "datatype": datatype,
                "shape": [1, len(features)],
                "data": [row[feature.name] for feature in features],
            }
            for name, datatype, features in tensors
            if features
        ]
    }


def reference(name: str) -> Schema:
    """A schema that is described once."""
    return {"$ref": f"#/components/schemas/{name}"}


def one_of(names: Iterable[str]) -> Schema:
    """One of several schemas that are described once."""
    choices = [reference(name) for name in names]
    return choices[0] if len(choices) == 1 else {"oneOf": choices}


def closed(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object of these members, and no others."""
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def opened(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object of these members; a later release may have more."""
    schema: Schema = {"type": "object", "properties": {**required, **(optional or {})}}
    return schema | ({"required": list(required)} if required else {})


def listed(schema: Schema) -> Schema:
    """A list that may be empty."""
    return {"type": "array", "items": schema}


def mapping(schema: Schema) -> Schema:
    """An object whose members have names that only the model knows."""
    return {"type": "object", "additionalProperties": schema}


def rows(schema: Schema) -> Schema:
    """A list that is not empty."""
    return {"type": "array", "minItems": 1, "items": schema}


def in_order(places: list[Schema]) -> Schema:
    """A list with one value for each place."""
    kinds = [place for at, place in enumerate(places) if place not in places[:at]]
    alike = len(kinds) == 1
    kinds = [kind for kind in kinds if alike or _or_null(kind) not in kinds]
    items = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if len(kinds) == 2 and {"type": ["string", "null"]} in kinds and reference("NumberOrNull") in kinds:
        items = {"type": ["string", "number", "null"]}
    if not alike and all("const" in kind for kind in kinds):
        items = {"type": kinds[0]["type"]}
    told: Schema = {} if alike else {"prefixItems": places}
    return {"type": "array"} | told | {"items": items, "minItems": len(places), "maxItems": len(places)}


def _or_null(schema: Schema) -> Schema:
    """What fits null too."""
    if schema == reference("Number"):
        return reference("NumberOrNull")
    return schema | {"type": [schema["type"], "null"]} if isinstance(schema.get("type"), str) else schema | {"": None}


def _place(feature: Feature) -> Schema:
    """The same where there is one for each place of a list."""
    if feature.kind != "numeric" or feature.reading.boolean is not None:
        return _plain(feature)
    return reference("NumberOrNull" if feature.nullable else "Number")


def _plain(feature: Feature) -> Schema:
    """What one feature may be, and nothing of training."""
    kinds = ["number" if feature.kind == "numeric" else "string"]
    kinds += ["boolean"] * (feature.reading.boolean is not None) + ["null"] * feature.nullable
    schema: Schema = {"type": kinds if len(kinds) > 1 else kinds[0]}
    return schema | (FLOAT32 if feature.kind == "numeric" else {})


def _infer_request(inputs: list[Schema]) -> Schema:
    """Tensors of one row."""
    properties = {
        "id": {"type": ["string", "null"]},
        "parameters": reference("InferParameters"),
        "inputs": in_order(inputs),
        "outputs": reference("RequestedOutputs"),
    }
    return {"type": "object", "properties": properties, "required": ["inputs"]}


def _tensor(name: str, datatype: str, features: Sequence[Feature]) -> Schema | None:
    if not features:
        return None
    fields: dict[str, Schema] = {
        "name": {"type": "string", "const": name},
        "datatype": {"type": "string", "const": datatype},
        "shape": reference(_shape_name(features)),
        "data": values(features),
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def _shape_name(features: Sequence[Feature]) -> str:
    """No model's schemas are called so: their names have no such stroke within."""
    return f"Shape_1_{len(features)}"


def _shape(*sizes: int) -> Schema:
    """Bounds that meet, since some generators write constant numbers badly."""
    places = [{"type": "integer", "minimum": size, "maximum": size} for size in sizes]
    return in_order(places) | {"items": {"type": "integer"}}
