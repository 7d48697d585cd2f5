"""Models of any shape, and bodies that unfold to much: well-formed and broken, for every route."""

import random
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime

from models.card import GoldenRow, ModelCard
from models.features import CategoricalFeature, Feature, NumericFeature
from models.repository import ModelRepository
from tests.service.conftest import NUMBERS

JSON, CSV, OCTETS = "application/json", "text/csv", "application/octet-stream"
CLASSES, FEATURES = 1000, 2000
ROWS = 90_000
# Cells that may be right for some column, or for none.
ODD = [b"[]", b"{}", b"null", b"true", b'""', b"1e39", b'"ab"', '"🐧"'.encode(), b"[[[]]]", b"-1.5e-7", b"1", b'"a"']
UNITS = [*ODD, b"[1]", b'{"a":1}', b'{"a":[]}', b"[[],[]]", b"[1,[]]"]


class Shape(NamedTuple):
    """A model's numbers, texts and classes."""

    numeric: int
    categorical: int
    classes: int


SHAPES = {
    "narrow": Shape(1, 0, 2),
    "many-classes": Shape(1, 0, CLASSES),
    "wide": Shape(FEATURES, 0, 2),
    "largest": Shape(FEATURES, 0, CLASSES),
    "texts": Shape(0, 2, 2),
    "wide-texts": Shape(0, FEATURES, 2),
    "mixed": Shape(2, 2, 3),
}


def publish(repository: ModelRepository, name: str, shape: Shape) -> None:
    """Publish a model of a shape: a sum of its numbers, and of what its texts count as."""
    tensor, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    texts = [CategoricalFeature(name=f"t{one}", nullable=True, categories=("a", "b")) for one in range(shape[1])]
    numbers = [NumericFeature(name=f"n{one}", nullable=False, minimum=0, maximum=9) for one in range(shape[0])]
    features: list[Feature] = [*numbers, *texts]
    weights = np.random.default_rng(0).standard_normal((len(features), shape.classes)).astype(np.float32)
    nodes, inputs, row = [], [], {}
    if numbers:
        inputs.append(tensor("numeric", onnx.TensorProto.FLOAT, ["N", shape.numeric]))
        row["numeric"] = np.ones((1, shape.numeric), np.float32)
    if texts:
        inputs.append(tensor("categorical", onnx.TensorProto.STRING, ["N", shape.categorical]))
        row["categorical"] = np.full((1, shape.categorical), "a", object)
        known: Any = {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0], "default_float": 0.0}
        nodes.append(node("LabelEncoder", ["categorical"], ["marks"], domain="ai.onnx.ml", **known))
    nodes += [
        node("Concat", ["numeric"] * bool(numbers) + ["marks"] * bool(texts), ["all"], axis=1),
        node("MatMul", ["all", "weights"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [tensor("probabilities", onnx.TensorProto.FLOAT, ["N", shape.classes])]
    weights /= len(features)
    graph = onnx.helper.make_graph(nodes, "sum", inputs, outputs, [onnx.numpy_helper.from_array(weights, "weights")])
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("ai.onnx.ml", 3)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    (answer,) = onnxruntime.InferenceSession(model).run(["probabilities"], row)
    instance = {feature.name: 1.0 if feature.kind == "numeric" else "a" for feature in features}
    golden = (GoldenRow(instance=instance, probabilities=tuple(answer[0].tolist())),)
    card = ModelRepository(NUMBERS).card("plain", 1).model_dump()
    card |= {"name": name, "features": features, "classes": tuple(f"class-{one}" for one in range(shape.classes))}
    repository.publish(ModelCard.model_validate(card | {"golden": golden, "drift": None}), {"model.onnx": model})


class Body(NamedTuple):
    """What is sent, where to."""

    path: str
    content_type: str
    text: bytes
    headers: tuple[tuple[str, str], ...] = ()


def fill(beginning: bytes, unit: bytes, end: bytes, size: int, between: bytes = b",") -> bytes:
    """As many units as there is room for."""
    count = max(1, (size - len(beginning) - len(end)) // (len(unit) + len(between)))
    return beginning + between.join([unit] * count) + end


def bodies(name: str, size: int, dice: random.Random) -> dict[str, Callable[[], Body]]:
    """How to make one of each kind, of about that size, for a model."""
    shape = SHAPES[name]
    values = [b"1"] * shape.numeric + [b'"a"'] * shape.categorical
    columns = [b'"n%d"' % one for one in range(shape.numeric)] + [b'"t%d"' % one for one in range(shape.categorical)]
    spoilt = [dice.choice(ODD) for _ in values]
    unit = dice.choice(UNITS)
    row, odd = (b"[%b]" % b",".join(cells) for cells in (values, spoilt))
    record, strange = (
        b"{%b}" % b",".join(map(b"%b:%b".__mod__, zip(columns, cells, strict=True))) for cells in (values, spoilt)
    )
    cells = {
        "rows": row,
        "records": record,
        "broken rows": odd,
        "broken records": strange,
        "units": unit,
        "empty rows": b"[[],[],[],[],[],[],[]]",
        "arrays": b"[]",
        "objects": b"{}",
    }
    begin = b'{"instances":['
    texts: dict[str, Callable[[], bytes]] = {
        **{kind: partial(fill, begin, cell, b"]}", size) for kind, cell in cells.items()},
        "rows, the last broken": partial(fill, begin, row, b",[]]}", size),
        "one long row": partial(fill, b'{"instances":[[', unit, b"]]}", size),
        "one long text": lambda: b'{"instances":["%b"]}' % ("é".encode() * (size // 2 - 20)),
        "not closed": partial(fill, begin, row, b"", size),
        "deep": lambda: b"[" * size,
        "blanks": lambda: begin + b" " * (size - len(row) - 40) + row + b"]}",
        "unknown keys": partial(fill, b'{"instance":{', b'"k":1', b"}}", size),
    }
    made = {kind: partial(_body, f"/v1/models/{name}:predict", text) for kind, text in texts.items()}
    return made | _tensors(name, shape, values, unit, size)


def tables(name: str, size: int, dice: random.Random) -> dict[str, Callable[[], Body]]:
    """The same for /invocations, which asks the default model."""
    shape = SHAPES[name]
    values = [b"1"] * shape.numeric + [b'"a"'] * shape.categorical
    names = [b"n%d" % one for one in range(shape.numeric)] + [b"t%d" % one for one in range(shape.categorical)]
    unit = dice.choice(UNITS)
    split = b'{"dataframe_split":{"columns":["%b"],"data":[' % b'","'.join(names)
    header, gaps = b",".join(names) + b"\n", b"," * (len(names) - 1)
    cells = b",".join(b"1" if value == b"1" else b"zz" for value in values)
    spoilt = b"[%b]" % b",".join(dice.choice(ODD) for _ in values)
    each = size // len(names) - 20

    def by_column(cells: list[bytes]) -> bytes:
        lists = [fill(b'"%b":[' % name, cell, b"]", each) for name, cell in zip(names, cells, strict=True)]
        return b'{"inputs":{%b}}' % b",".join(lists)

    texts: dict[str, Callable[[], bytes]] = {
        "split": partial(fill, split, b"[%b]" % b",".join(values), b"]}}", size),
        "broken split": partial(fill, split, spoilt, b"]}}", size),
        "columns": partial(by_column, values),
        "broken columns": partial(by_column, [unit] * len(names)),
        "csv": partial(fill, header, cells, b"", size, b"\n"),
        "csv of gaps": partial(fill, header, gaps, b"", size, b"\n"),
        "csv in one line": lambda: b"," * size,
        "csv of quotes": lambda: fill(header, b'"\n"', b"", size),
    }
    return {
        kind: partial(_body, "/invocations", text, CSV if kind.startswith("csv") else JSON)
        for kind, text in texts.items()
    }


def _tensors(name: str, shape: Shape, values: list[bytes], unit: bytes, size: int) -> dict[str, Callable[[], Body]]:
    kind, width = ("numeric", shape.numeric) if shape.numeric else ("categorical", shape.categorical)
    path = f"/v2/models/{name}/infer"
    cells = {"flat": values[0], "nested": b"[%b]" % b",".join(values[:width]), "units": unit, "arrays": b"[]"}
    datatypes = {"INT8": 1, "FP64": 8} if kind == "numeric" else {"BYTES": 4}

    def head(datatype: str, rows: int, rest: str, more: str = "") -> bytes:
        return (
            f'{{"inputs":[{{"name":"{kind}","datatype":"{datatype}","shape":[{rows},{width}],{rest}'.encode()
            + more.encode()
        )

    def in_json(form: str) -> bytes:
        rows = (size - 200) // (len(cells[form]) + 1) // (width if form == "flat" else 1)
        beginning = head("FP32" if kind == "numeric" else "BYTES", max(1, min(rows, ROWS)), '"data":[')
        return fill(beginning, cells[form], b"]}]}", size)

    def in_binary(datatype: str) -> Body:
        each = datatypes[datatype]
        rows = max(1, min(ROWS, (size - 300) // each // width))
        rest = f'"parameters":{{"binary_data_size":{rows * width * each}}}}}]}}'
        beginning = head(datatype, rows, rest)
        length = (("Inference-Header-Content-Length", str(len(beginning))),)
        return Body(path, OCTETS, beginning + bytes(rows * width * each), length)

    def wishes() -> bytes:
        row = b",".join(values[:width])
        beginning = head("FP32" if kind == "numeric" else "BYTES", 1, '"data":[')
        return fill(beginning + row + b']}],"outputs":[', b'{"name":"probabilities"}', b"]}", min(size, 500_000))

    different = b"".join(struct.pack("<I", 2) + bytes([97 + one % 26, 98]) for one in range(1000))
    raw = Body(path, OCTETS, b"", (("Inference-Header-Content-Length", "0"),))
    return {
        **{f"tensor: {form}": partial(_body, path, partial(in_json, form)) for form in cells},
        **{f"binary: {datatype}": partial(in_binary, datatype) for datatype in datatypes},
        "wishes": partial(_body, path, wishes),
        "raw": lambda: raw._replace(text=different * (size // len(different))),
    }


def _body(path: str, text: Callable[[], bytes], content_type: str = JSON) -> Body:
    return Body(path, content_type, text())
