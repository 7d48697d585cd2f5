"""The encoder as nodes: raw values in, the inputs of the network out.

A node costs a row more than what it computes, so that columns of one kind go through the same few nodes together.
"""

from functools import partial

import numpy as np
import onnx
from onnx import TensorProto, helper

from trainer.data.encoder import FIRST_DAY, LAST_DAY, WEEKDAYS, YEAR, Encoder
from trainer.data.scaling import SOFTNESS, Quantiles, Robust, Scaling, Standard
from trainer.export.nodes import Graph

LARGEST = np.finfo(np.float32).max


def write_encoder(graph: Graph, encoder: Encoder, numeric: str = "numeric") -> tuple[str, list[onnx.ValueInfoProto]]:
    """Write the encoder; return the name of its output, and the inputs of the graph that it needs.

    :param numeric: what the raw numbers are called.
    """
    inputs, numbers, marks, codes = [], [], [], []
    if columns := len(encoder.median):
        inputs.append(helper.make_tensor_value_info(numeric, TensorProto.FLOAT, ["N", columns]))
        missing = graph.node("IsNaN", [numeric], "numeric/missing")
        imputed = graph.node("Where", [missing, graph.constant("median", encoder.median), numeric], "numeric/imputed")
        if encoder.atoms or (isinstance(encoder.scaling, Robust) and not encoder.scaling.third.all()):
            imputed = _write_bounds(graph, imputed)
        numbers.append(_write_scaling(graph, encoder.scaling, imputed))
        marks += _write_marks(graph, encoder, missing, imputed)
        if encoder.dates:
            waves, weekdays = _write_calendar(graph, encoder, imputed)
            numbers.append(waves)
            marks.append(weekdays)
    if columns := len(encoder.categories):
        inputs.append(helper.make_tensor_value_info("categorical", TensorProto.STRING, ["N", columns]))
        numbered, places = _write_text_numbers(graph, encoder)
        marks += _write_one_hots(graph, encoder, numbered, places)
        codes += _write_codes(graph, encoder, numbered, places)
    if marks:
        together = graph.node("Concat", marks, "marks", axis=1)
        numbers.append(graph.node("Cast", [together], "marks/encoded", to=TensorProto.FLOAT))
    return graph.node("Concat", [*numbers, *codes], "encoded", axis=1), inputs


def _write_bounds(graph: Graph, numbers: str) -> str:
    """Infinities become the largest numbers: times zero, an infinity would be no number, and its whole row with it."""
    low, high = (
        graph.constant(f"numeric/{end}", np.array(sign * LARGEST, np.float32))
        for end, sign in (("low", -1), ("high", 1))
    )
    return graph.node("Min", [graph.node("Max", [numbers, low], "numeric/above"), high], "numeric/finite")


def _write_scaling(graph: Graph, scaling: Scaling, numbers: str) -> str:
    match scaling:
        case Robust():
            return _write_robust(graph, scaling, numbers)
        case Standard():
            return _write_standard(graph, scaling, numbers)
        case Quantiles():
            return _write_quantiles(graph, scaling, numbers)
    raise TypeError(f"no ONNX operators are known for {type(scaling).__name__}")


def _write_robust(graph: Graph, scaling: Robust, numbers: str) -> str:
    centred = graph.node("Sub", [numbers, graph.constant("centre", scaling.centre)], "numeric/centred")
    third = graph.node("Mul", [centred, graph.constant("third", scaling.third)], "numeric/third")
    clipped = graph.in_fours(partial(_write_clip, graph), third, "numeric/clipped", len(scaling.centre))
    softness = graph.constant("softness", np.array(SOFTNESS, np.float32))
    return graph.node("Mul", [clipped, softness], "numeric/scaled")


def _write_clip(graph: Graph, third: str) -> str:
    return graph.node("Sin", [graph.node("Atan", [third], "numeric/angle")], "numeric/sine")


def _write_standard(graph: Graph, scaling: Standard, numbers: str) -> str:
    raised = graph.node("Max", [numbers, graph.constant("lower", scaling.lower)], "numeric/raised")
    bounded = graph.node("Min", [raised, graph.constant("upper", scaling.upper)], "numeric/bounded")
    centred = graph.node("Sub", [bounded, graph.constant("centre", scaling.centre)], "numeric/centred")
    return graph.node("Mul", [centred, graph.constant("scale", scaling.scale)], "numeric/scaled")


def _write_quantiles(graph: Graph, scaling: Quantiles, numbers: str) -> str:
    last = graph.constant("axis/last", np.array([2], np.int64))
    raised = graph.node("Max", [numbers, graph.constant("lowest/knot", scaling.knots[:, 0])], "numeric/raised")
    inside = graph.node("Min", [raised, graph.constant("highest/knot", scaling.knots[:, -1])], "numeric/inside")
    column = graph.node("Unsqueeze", [inside, last], "numeric/column")
    distance = graph.node("Sub", [column, graph.constant("knots", scaling.knots[:, :-1])], "numeric/distance")
    zero = graph.constant("zero", np.array(0, np.float32))
    begun = graph.node("Max", [distance, zero], "numeric/begun")
    climbed = graph.node("Min", [begun, graph.constant("widths", scaling.widths)], "numeric/climbed")
    risen = graph.node("Mul", [climbed, graph.constant("slopes", scaling.slopes)], "numeric/risen")
    height = graph.node("ReduceSum", [risen, last], "numeric/height", keepdims=0)
    return graph.node("Add", [height, graph.constant("lowest", scaling.lowest)], "numeric/normal")


def _write_marks(graph: Graph, encoder: Encoder, missing: str, imputed: str) -> list[str]:
    """What is missing, and which values are among those that a column repeats."""
    marks = []
    if encoder.gaps:
        positions = graph.constant("gaps/positions", np.array(encoder.gaps, np.int64))
        marks.append(graph.node("Gather", [missing, positions], "gaps", axis=1))
    if encoder.atoms:
        columns = np.concatenate([np.full(len(values), column) for column, values in encoder.atoms])
        values = np.concatenate([values for _, values in encoder.atoms])
        repeated = graph.repeated(imputed, len(encoder.median), columns, "atoms/repeated")
        marks.append(graph.node("Equal", [repeated, graph.constant("atoms/values", values)], "atoms"))
    return marks


def _write_calendar(graph: Graph, encoder: Encoder, imputed: str) -> tuple[str, str]:
    """Season, hour and weekday of dates, as `trainer.data.encoder.calendar` computes them."""
    count = len(encoder.dates)

    def number(name: str, value: object, kind: type[np.generic] = np.float64) -> str:
        return graph.constant(f"dates/is/{name}", np.array(value, kind))

    def cast(value: str, to: int) -> str:
        return graph.node("Cast", [value], f"{value}/{to}", to=to)

    days = graph.node("Gather", [imputed, number("columns", encoder.dates, np.int64)], "dates/days", axis=1)
    late = graph.node("Max", [days, number("first", FIRST_DAY, np.float32)], "dates/late")
    inside = graph.node("Min", [late, number("last", LAST_DAY, np.float32)], "dates/inside")
    exact = cast(inside, TensorProto.DOUBLE)
    shifted = graph.node("Sub", [exact, number("first/exact", FIRST_DAY)], "dates/shifted")
    whole = cast(shifted, TensorProto.INT64)
    years = graph.node("Mul", [shifted, number("year", 1 / YEAR)], "dates/years")
    parts = [
        graph.node("Sub", [value, cast(part, TensorProto.DOUBLE)], f"{value}/rest")
        for value, part in ((years, cast(years, TensorProto.INT64)), (shifted, whole))
    ]
    turns = cast(graph.node("Concat", parts, "dates/turns", axis=1), TensorProto.FLOAT)
    angles = graph.node("Mul", [turns, number("circle", 2 * np.pi, np.float32)], "dates/angles")
    waves = [
        graph.in_fours(partial(_write_wave, graph, operator), angles, f"dates/{operator.lower()}", 2 * count)
        for operator in ("Sin", "Cos")
    ]
    repeated = number("repeated", np.repeat(np.arange(count), WEEKDAYS), np.int64)
    each = graph.node("Gather", [whole, repeated], "dates/whole", axis=1)
    half = graph.node("Add", [cast(each, TensorProto.DOUBLE), number("half", 0.5)], "dates/half")
    weeks = cast(graph.node("Mul", [half, number("week", 1 / WEEKDAYS)], "dates/weeks"), TensorProto.INT64)
    begun = graph.node("Mul", [weeks, number("week/days", WEEKDAYS, np.int64)], "dates/begun")
    weekday = graph.node("Sub", [each, begun], "dates/weekday")
    known = number("weekdays", np.tile(np.arange(WEEKDAYS), count), np.int64)
    equal = graph.node("Equal", [weekday, known], "dates/marks")
    return graph.node("Concat", waves, "dates/waves", axis=1), equal


def _write_wave(graph: Graph, operator: str, angles: str) -> str:
    return graph.node(operator, [angles], f"dates/{operator.lower()}/wave")


def _write_text_numbers(graph: Graph, encoder: Encoder) -> tuple[str, dict[str, int]]:
    """Give every known text of any column a number from 1; all others are 0. As floats, which hold them exactly, they
    can go through a product.
    """
    texts = sorted({text for known in encoder.categories for text in known})
    places = {text: place for place, text in enumerate(texts, start=1)}
    numbered = graph.node(
        "LabelEncoder",
        ["categorical"],
        "categorical/numbers",
        domain="ai.onnx.ml",
        keys_strings=texts,
        values_floats=list(map(float, places.values())),
        default_float=0.0,
    )
    return numbered, places


def _write_one_hots(graph: Graph, encoder: Encoder, numbered: str, places: dict[str, int]) -> list[str]:
    known = [(column, places[text]) for column in encoder.marked for text in encoder.categories[column]]
    if not known:
        return []
    columns, numbers = np.array(known, np.int64).T
    cells = graph.repeated(numbered, len(encoder.categories), columns, "one_hot/repeated")
    return [graph.node("Equal", [cells, graph.constant("one_hot/numbers", numbers.astype(np.float32))], "one_hot")]


def _write_codes(graph: Graph, encoder: Encoder, numbered: str, places: dict[str, int]) -> list[str]:
    """From a text's number to its code, by a table that has a row a column."""
    if not encoder.coded:
        return []
    codes = np.zeros((len(encoder.coded), len(places) + 1), np.float32)
    for row, (column, start) in enumerate(zip(encoder.coded, encoder.code_starts, strict=True)):
        codes[row] = start
        for code, text in enumerate(encoder.categories[column], start=start + 1):
            codes[row, places[text]] = code
    columns = graph.constant("codes/columns", np.array(encoder.coded, np.int64))
    rows = graph.constant("codes/rows", np.arange(len(codes), dtype=np.int64) * codes.shape[1])
    cells = graph.node("Gather", [numbered, columns], "codes/numbers", axis=1)
    cells = graph.node("Cast", [cells], "codes/whole", to=TensorProto.INT64)
    cells = graph.node("Add", [cells, rows], "codes/places")
    return [graph.node("Gather", [graph.constant("codes/table", codes.ravel()), cells], "codes", axis=0)]
