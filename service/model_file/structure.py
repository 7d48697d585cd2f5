"""The structure of a model file, checked before onnxruntime sees it: plain arithmetic on its own numbers, no more."""

from math import prod
from typing import Any

from models.operators import EARLIER, IR_VERSIONS, OPERATORS, OPSETS
from service.errors import RefusedModel
from service.model_file.protobuf import MODEL, parse, varints

LARGEST_METADATA = 16 << 20
LONGEST_WORD = 64


def check_structure(onnx: bytes) -> None:
    """Check that a model is made of known operators only, and claims no more numbers than it brings along.

    :raises RefusedModel: it is not; the sentence names the first thing that is wrong.
    """
    model = parse(MODEL, memoryview(onnx))
    if not model["ir_version"] or model["ir_version"][0] not in IR_VERSIONS:
        raise RefusedModel(f"model.onnx is of IR version {model['ir_version']}; it may be {_words(IR_VERSIONS)}")
    _check_opsets(model["opset_import"])
    metadata = sum(len(text) for entry in model["metadata_props"] for text in (*entry["key"], *entry["value"]))
    if metadata > LARGEST_METADATA:
        raise RefusedModel(f"model.onnx carries {metadata} bytes of metadata; {LARGEST_METADATA} are allowed")
    if not model["graph"]:
        raise RefusedModel("model.onnx holds no graph")
    (graph,) = model["graph"]
    for node in graph["node"]:
        domain, operator = _text(node["domain"]), _text(node["op_type"])
        if not any(operator in allowed.get(domain, ()) for allowed in (OPERATORS, EARLIER)):
            raise RefusedModel(
                f"model.onnx holds the operator {domain and f'{domain}.'}{operator}, which is not allowed"
            )
    for tensor in graph["initializer"]:
        _check_size(tensor)


def _check_opsets(imported: list[dict[str, list[Any]]]) -> None:
    for opset in imported:
        domain, version = _text(opset["domain"]), sum(opset["version"])
        if version not in OPSETS.get(domain, ()):
            known = ", ".join(f"{name or 'ai.onnx'} {_words(versions)}" for name, versions in OPSETS.items())
            raise RefusedModel(f"model.onnx is of opset {domain or 'ai.onnx'} {version}; those known are {known}")


def _check_size(tensor: dict[str, list[Any]]) -> None:
    """A tensor holds a byte or more for each element that its shape has: no few bytes unfold to many."""
    # An empty text holds no byte, but counts.
    texts = len(tensor["string_data"])
    numbers = (value for field in tensor if field.endswith("_data") for value in tensor[field])
    held = texts + sum(len(value) if isinstance(value, memoryview) else 1 for value in numbers)
    if prod(varints(tensor["dims"])) > held:
        raise RefusedModel(f"model.onnx has a tensor {_text(tensor['name'])!r} with less data than its shape needs")


def _text(values: list[memoryview]) -> str:
    text = bytes(values[0][:LONGEST_WORD]) if values else b""
    return text.decode(errors="replace")


def _words(versions: range) -> str:
    return f"{versions[0]} to {versions[-1]}"
