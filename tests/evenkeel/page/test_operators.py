"""Each operator of the list, in JavaScript, against onnxruntime."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from models.operators import OPERATORS
from tests.evenkeel.page.conftest import Javascript, in_base64

RUN = """
import { Network } from "./network.js";
import { tensorOf } from "./tensors.js";
const storages = { 1: Float32Array, 6: Int32Array, 7: BigInt64Array, 9: Uint8Array, 11: Float64Array };
const run = ({ model, inputs }) => {
  const tensors = Object.entries(inputs).map(([name, { type, dims, texts, data }]) => {
    if (texts) return [name, tensorOf(type, dims, texts)];
    const numbers = new storages[type](bytesOf(data).buffer);
    return [name, tensorOf(type, dims, type === 7 ? Float64Array.from(numbers, Number) : numbers)];
  });
  const { out } = new Network(bytesOf(model), ["out"]).run(Object.fromEntries(tensors));
  const texts = out.type === 8 ? out.data : undefined;
  const data = texts ? "" : Buffer.from(Float64Array.from(out.data).buffer).toString("base64");
  return { type: out.type, dims: out.dims, texts, data };
};
const answer = given.cases.map((one) => {
  try {
    return run(one);
  } catch (error) {
    return { error: String(error) };
  }
});
"""

rng = np.random.default_rng(0)


def drawn(*shape: int, dtype: type[np.generic] = np.float32) -> npt.NDArray[Any]:
    """Normal numbers, in which nothing is special."""
    return rng.normal(size=shape).astype(dtype)


def whole(values: object) -> npt.NDArray[np.int64]:
    return np.array(values, np.int64)


ODD = np.array([[np.nan, -0.0, 0, 1e-38], [1e38, -1e38, np.inf, -np.inf]], np.float32)
PLAIN = np.array([[-30, -2.5, -0.5, 0], [1e-3, 0.5, 3, 30]], np.float32)
# Of pairs: the same shape, a row, a column, a number, both ways round, both spread, no rows, no axes, three axes.
SHAPES = [
    *(((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 4), (3, 1)), ((3, 4), ()), ((4,), (3, 4)), ((3, 1), (1, 4))),
    *(((0, 4), (4,)), ((), ()), ((2, 3, 1), (1, 3, 5)), ((2, 3, 4), (3, 1)), ((1, 1), (1,)), ((2, 1, 4), (5, 1))),
]
PAIRS = [(drawn(*one), drawn(*other)) for one, other in SHAPES]
DOUBLES = [(drawn(2, 3, dtype=np.float64), drawn(3, dtype=np.float64))]
WHOLES = [(whole([[5, -7], [2**40, 0]]), whole([3, -(2**30)]))]

# A model of one operator, and its inputs.
Written = tuple[bytes, dict[str, Any]]
Case = tuple[str, dict[str, Any], tuple[npt.NDArray[Any], ...]]
CASES: list[Case] = [
    *((name, {}, pair) for name in ("Add", "Sub", "Mul") for pair in PAIRS + DOUBLES + WHOLES),
    *((name, {}, pair) for name in ("Max", "Min", "Mean") for pair in PAIRS + DOUBLES[: name != "Mean"]),
    *((name, {}, (drawn(2, 3), drawn(3), drawn(2, 1))) for name in ("Max", "Min", "Mean")),
    *((name, {}, (drawn(2, 3),)) for name in ("Max", "Min", "Mean")),
    *((name, {}, (ODD, ODD[::-1].copy())) for name in ("Add", "Mul", "Equal")),
    *(("Equal", {}, pair) for pair in [*PAIRS[:6], (PLAIN, PLAIN.T.ravel()[:4]), (PLAIN, PLAIN.copy())]),
    ("Equal", {}, (whole([[1, 2], [3, 2]]), whole([1, 2]))),
    ("Equal", {}, (np.array([True, False]), np.array([True, True]))),
    *((name, {}, (PLAIN,)) for name in ("Atan", "Cos", "Sin", "Tanh", "Sigmoid", "Relu", "LeakyRelu", "Elu", "Selu")),
    *((name, {}, (drawn(0, 3),)) for name in ("Atan", "Relu", "Elu")),
    *(("Relu", {}, (one,)) for one in (drawn(2, 3, 4), drawn(7))),
    ("LeakyRelu", {"alpha": 0.3}, (PLAIN,)),
    ("Elu", {"alpha": 0.7}, (PLAIN,)),
    ("Selu", {"alpha": 1.5, "gamma": 2.0}, (PLAIN,)),
    ("IsNaN", {}, (ODD,)),
    *(("ArgMax", {"axis": axis, "keepdims": keep}, (drawn(3, 4, 2),)) for axis in (0, 1, -1) for keep in (0, 1)),
    *(("ArgMax", {"axis": 1, "select_last_index": last}, (PLAIN * 0 + [1, 3, 3, 2],)) for last in (0, 1)),
    *(
        ("BatchNormalization", {"epsilon": epsilon}, (drawn(*shape), *drawn(3, 3), np.abs(drawn(3)) + 0.1))
        for shape in ((5, 3), (1, 3), (2, 3, 4), (0, 3))
        for epsilon in (1e-5, 0.5)
    ),
    *(("Cast", {"to": to}, (np.array([-2.7, -0.5, 0, 0.5, 2.7, 40000.9], np.float32),)) for to in (7, 9, 11)),
    *(("Cast", {"to": to}, (np.array([1e-60, -3.99, 1 / 3, 2.0**40 + 0.5]),)) for to in (1, 7)),
    *(("Cast", {"to": to}, (whole([0, -1, 2**31, 2**52 + 1]),)) for to in (1, 9, 11)),
    *(("Cast", {"to": to}, (np.array([True, False]),)) for to in (1, 7, 11)),
    *(("Concat", {"axis": axis}, (drawn(2, 3, 2), drawn(2, 3, 2))) for axis in (0, 1, 2, -1)),
    ("Concat", {"axis": 1}, (drawn(3, 1), drawn(3, 0), drawn(3, 4))),
    ("Concat", {"axis": 1}, (whole([[1], [2]]), whole([[3, 4], [5, 6]]))),
    *(("CumSum", {"exclusive": one}, (drawn(3, 4, 2), whole(axis))) for one in (0, 1) for axis in (0, 1, -1)),
    ("CumSum", {"exclusive": 1}, (np.array([[2**24, 5, 2**23]], np.int32), whole(1))),
    *(("LessOrEqual", {}, pair) for pair in [*PAIRS, (PLAIN, PLAIN.copy())]),
    ("LessOrEqual", {}, (np.array([[3], [4]], np.int32), np.array([[3, 4, 5]], np.int32))),
    *(("ReduceMin", {"axes": [axis], "keepdims": keep}, (drawn(3, 4, 2),)) for axis in (0, 1, -1) for keep in (0, 1)),
    *(("TopK", {"axis": axis}, (drawn(3, 4, 2), whole([count]))) for axis, count in ((0, 3), (1, 2), (1, 4), (-1, 1))),
    ("TopK", {"axis": 1}, (np.array([[5, -7, 5, 2**30]], np.int32), whole([4]))),
    *(("Flatten", {"axis": axis}, (drawn(2, 3, 4),)) for axis in (0, 1, 2, 3, -1)),
    *(("Gather", {"axis": axis}, (drawn(3, 4, 2), whole([1, -1, 0, 1]))) for axis in (0, 1)),
    ("Gather", {"axis": 0}, (drawn(5, 2), whole([[0, 4], [-5, 2], [1, 1]]))),
    ("Gather", {"axis": 1}, (drawn(2, 3), whole(2))),
    ("Gather", {"axis": 1}, (np.array([["a", "é"], ["", "𝄞"]], object), whole([1, 1, 0]))),
    ("Gather", {"axis": 0}, (drawn(7), whole([[6, 0]]))),
    *(
        ("Gemm", attributes, (drawn(*one), drawn(*other), *([drawn(*bias)] if bias is not None else [])))
        for attributes, one, other, bias in (
            ({}, (3, 4), (4, 2), (2,)),
            ({}, (3, 4), (4, 2), (3, 1)),
            ({}, (1, 1), (1, 1), ()),
            ({}, (3, 4), (4, 2), None),
            ({"alpha": 0.5, "beta": 2.0}, (3, 4), (4, 5), (3, 5)),
            ({"transA": 1}, (4, 3), (4, 2), (2,)),
            ({"transB": 1}, (3, 4), (2, 4), (2,)),
            ({"transA": 1, "transB": 1}, (4, 3), (2, 4), (2,)),
        )
    ),
    *(
        ("MatMul", {}, (drawn(n, k), drawn(k, m)))
        for n, k, m in [(1, 1, 1), (3, 5, 7), (0, 4, 2), (9, 33, 4), (1, 8, 1)]
    ),
    ("MatMul", {}, (drawn(4, 9) * (drawn(4, 9) > 0), drawn(9, 6))),
    *(("ReduceSum", {"keepdims": keep}, (drawn(2, 3, 4), whole(axes))) for keep in (0, 1) for axes in ([2], [0, -1])),
    ("ReduceSum", {}, (drawn(2, 3),)),
    ("ReduceSum", {"noop_with_empty_axes": 1}, (drawn(2, 3),)),
    *(
        ("Slice", {}, (drawn(5, 6), *map(whole, bounds)))
        for bounds in (
            ([1], [4]),
            ([1, -3], [2**63 - 1, -1]),
            ([-4], [2**63 - 1], [1]),
            ([0], [-4], [-1]),
            ([4, 5], [0, -7], [0, 1], [-2, -1]),
            ([1], [99], [1], [2]),
            ([3], [2], [0]),
            ([99], [-99], [1], [-1]),
            ([-99], [99], [1], [3]),
        )
    ),
    *(("Softmax", {"axis": axis}, (drawn(3, 4, 2) * 20,)) for axis in (0, 1, -1)),
    ("Softmax", {}, (np.array([[1e30, -1e30, 1e30], [-500, 0, 500]], np.float32),)),
    *(("Unsqueeze", {}, (drawn(2, 3), whole(axes))) for axes in ([0], [2], [-1], [0, 3])),
    *(
        ("Where", {}, (np.array(condition), drawn(*one), drawn(*other)))
        for condition, one, other in (
            ([[True, False, True]], (2, 3), ()),
            ([[True], [False]], (3,), (2, 3)),
            (True, (2, 1), (3,)),
        )
    ),
    *(
        ("LabelEncoder", {f"keys_{keys}": known, f"values_{values}": to} | other, (given,))
        for keys, known, given in (
            (
                "strings",
                ["a", "é", "", "__proto__"],
                np.array([["a", "é"], ["", "b"], ["__proto__", "constructor"]], object),
            ),
            ("int64s", [-1, 0, 5], whole([[-1, 5], [0, 7]])),
            ("floats", [0.5, 1.0, -2.0], np.array([0.5, -2, 3], np.float32)),
        )
        for values, to, other in (
            ("strings", ["x", "𝄞", "z", "w"], {}),
            ("int64s", [1, -2, 3, 4], {"default_int64": 0}),
            ("floats", [0.1, 0.2, 0.3, 0.4], {"default_float": 9.5}),
        )
        for known, to in [(known, to[: len(known)])]
    ),
]


def written(operator: str, attributes: dict[str, Any], inputs: tuple[npt.NDArray[Any], ...]) -> Written:
    """A model of one operator, whose inputs behind the first are constants where they hold shapes, and its inputs."""
    domain = next(domain for domain in OPERATORS if operator in OPERATORS[domain])
    names = [f"in{index}" for index in range(len(inputs))]
    types = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in zip(names, inputs, strict=True)}
    constants = {"CumSum", "ReduceSum", "Slice", "TopK", "Unsqueeze"}
    # Where the largest stood, nothing asks.
    outputs = ["out", "places"] if operator == "TopK" else ["out"]
    held = names[1:] if operator in constants else []
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(operator, names, outputs, domain=domain, **attributes)],
            "one",
            [
                helper.make_tensor_value_info(name, types[name], value.shape)
                for name, value in zip(names, inputs, strict=True)
                if name not in held
            ],
            [onnx.ValueInfoProto(name="out")],
            [numpy_helper.from_array(value, name) for name, value in zip(names, inputs, strict=True) if name in held],
        ),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        ir_version=8,
    )
    model = onnx.shape_inference.infer_shapes(model)
    return model.SerializeToString(), {name: one for name, one in zip(names, inputs, strict=True) if name not in held}


def sent(value: npt.NDArray[Any]) -> dict[str, Any]:
    kind = helper.np_dtype_to_tensor_dtype(value.dtype)
    texts = {"texts": value.ravel().tolist()} if value.dtype == object else {"data": in_base64(value.tobytes())}
    return {"type": kind, "dims": value.shape, **texts}


@pytest.fixture(scope="module")
def models() -> list[Written]:
    """Each case's model and inputs."""
    return [written(*case) for case in CASES]


@pytest.fixture(scope="module")
def computed(javascript: Javascript, models: list[Written]) -> list[dict[str, Any]]:
    """What JavaScript makes of each case, in one process."""
    cases = [
        {"model": in_base64(model), "inputs": {name: sent(value) for name, value in given.items()}}
        for model, given in models
    ]
    answers: list[dict[str, Any]] = javascript(RUN, cases=cases)
    return answers


@pytest.mark.parametrize("place", range(len(CASES)), ids=[f"{name}-{place}" for place, (name, *_) in enumerate(CASES)])
def test_an_operator_computes_what_onnxruntime_does(
    place: int, models: list[Written], computed: list[dict[str, Any]]
) -> None:
    """In type, shape and value; of exact operators in every bit, else within a few units of the last 32-bit digit."""
    operator, (model, given), found = CASES[place][0], models[place], computed[place]
    (expected,) = onnxruntime.InferenceSession(model).run(None, given)

    assert "error" not in found, found
    assert found["dims"] == list(expected.shape)
    assert found["type"] == helper.np_dtype_to_tensor_dtype(expected.dtype)
    if expected.dtype == object:
        assert found["texts"] == expected.ravel().tolist()
    else:
        numbers = np.frombuffer(base64.b64decode(found["data"])).reshape(expected.shape)
        np.testing.assert_allclose(
            numbers,
            expected.astype(np.float64),
            rtol=1e-5 * (operator not in EXACT),
            atol=2e-7 * (operator not in EXACT),
        )


EXACT = {
    *("Add", "ArgMax", "Cast", "Concat", "Equal", "Flatten", "Gather", "IsNaN", "LabelEncoder", "Max", "Min", "Mul"),
    *("Relu", "Slice", "Sub", "Unsqueeze", "Where"),
}


def test_every_operator_of_the_list_is_tried_and_no_other_is_known(javascript: Javascript) -> None:
    """The list is that of models/operators.py."""
    listed = {f"{domain}.{one}" if domain else one for domain, some in OPERATORS.items() for one in some}
    known = javascript('import { OPERATORS } from "./operators.js"; const answer = Object.keys(OPERATORS);')

    assert set(known) == listed
    assert {name for name, _, _ in CASES} == {one for some in OPERATORS.values() for one in some}
