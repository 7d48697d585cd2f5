"""The estimator inside a scikit-learn pipeline that skl2onnx exports. The only module that knows skl2onnx."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from skl2onnx import update_registered_converter
from skl2onnx._supported_operators import sklearn_operator_name_map
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

from trainer.data.encoder import Encoder
from trainer.errors import InvalidSetting
from trainer.export.graph import IR_VERSION, ML_OPSET, OPSET, write_probabilities
from trainer.export.graph import to_onnx as table_to_onnx
from trainer.export.nodes import Graph
from trainer.export.preprocessing import write_encoder
from trainer.export.sets import write_sets
from trainer.fitting.trained_classifier import TrainedClassifier


def estimator_to_onnx(estimator: Any) -> onnx.ModelProto:
    """The graph of a fitted estimator: input `X` float32 [N, features], outputs `label` and `probabilities`.

    Of one that has read a frame, the graph of a published model.
    """
    if estimator.reads_frames_:
        classifier = _classifier(estimator, estimator.encoder_)
        written: onnx.ModelProto = onnx.load_from_string(table_to_onnx(classifier, {}, sets=estimator.sets_))
        return written
    graph = Graph()
    _, probabilities = _write(graph, estimator, "X")
    sets = []
    if estimator.sets_ is not None:
        name = write_sets(graph, probabilities, len(estimator.classes_), estimator.sets_)
        sets = [helper.make_tensor_value_info(name, TensorProto.BOOL, ["N", len(estimator.classes_)])]
    kinds = {FloatTensorType: TensorProto.FLOAT, Int64TensorType: TensorProto.INT64}
    label = kinds.get(_label_type(estimator.classes_), TensorProto.STRING)
    model: onnx.ModelProto = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "evenkeel",
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", estimator.n_features_in_])],
            [
                helper.make_tensor_value_info("label", label, ["N"]),
                helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(estimator.classes_)]),
                *sets,
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="evenkeel",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def register_converter(estimator: type) -> None:
    """Make skl2onnx's options for classifiers, such as `zipmap`, known for our class too."""
    options = {"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [True, False]}
    update_registered_converter(estimator, _alias(estimator), output_shapes, write_estimator, options=options)


def name_to_skl2onnx(estimator: type) -> None:
    """Let skl2onnx find our class inside of others, which ask its own table of names and not the class."""
    if estimator not in sklearn_operator_name_map:
        update_registered_converter(estimator, _alias(estimator), output_shapes, write_estimator)


def _alias(estimator: type) -> str:
    return f"Evenkeel{estimator.__name__}"


def output_shapes(operator: Any) -> None:
    """Set the types of the label and the probabilities."""
    classes = operator.raw_operator.classes_
    rows = operator.inputs[0].get_first_dimension()
    label, probabilities = operator.outputs
    label.type = _label_type(classes)([rows])
    probabilities.type = FloatTensorType([rows, len(classes)])


def write_estimator(scope: Any, operator: Any, container: Any) -> None:
    """Write a fitted estimator into the graph that skl2onnx is building."""
    estimator = operator.raw_operator
    if any(column.kind != "numeric" for column in estimator.columns_):
        raise InvalidSetting("a classifier that has read a frame of texts or dates is exported by its own to_onnx()")
    graph = Graph(prefix=scope.get_unique_operator_name("evenkeel") + "/")
    inputs = graph.node("Cast", [operator.inputs[0].full_name], "inputs", to=TensorProto.FLOAT)
    written = _write(graph, estimator, inputs)
    for constant in graph.constants:
        container.add_initializer(constant.name, constant.data_type, list(constant.dims), constant)
    for node in graph.nodes:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        if node.domain:
            attributes["op_version"] = ML_OPSET - 1
        container.add_node(
            node.op_type, list(node.input), list(node.output), op_domain=node.domain, name=node.name, **attributes
        )
    for name, output in zip(written, operator.outputs, strict=True):
        container.add_node("Identity", name, output.full_name, name=f"{name}/out")


def _write(graph: Graph, estimator: Any, inputs: str) -> tuple[str, str]:
    """Write nodes from raw numbers to the label and the probabilities, and return the names of these."""
    encoder: Encoder | None = estimator.encoder_
    encoded = inputs if encoder is None else write_encoder(graph, encoder, inputs)[0]
    width = estimator.n_features_in_ if encoder is None else encoder.width
    probabilities = write_probabilities(graph, _classifier(estimator, encoder), encoded, width)
    index = graph.node("ArgMax", [probabilities], "index", axis=1, keepdims=0)
    classes: npt.NDArray[Any] = estimator.classes_
    names: dict[Any, tuple[str, Callable[[Any], Any]]]
    names = {FloatTensorType: ("values_floats", float), Int64TensorType: ("values_int64s", int)}
    attribute, convert = names.get(_label_type(classes), ("values_strings", str))
    values: dict[str, Any] = {attribute: [convert(one) for one in classes]}
    keys = list(range(len(classes)))
    return graph.node("LabelEncoder", [index], "label", domain="ai.onnx.ml", keys_int64s=keys, **values), probabilities


def _classifier(estimator: Any, encoder: Any) -> TrainedClassifier:
    return TrainedClassifier(encoder, estimator.networks_, tuple(map(str, estimator.classes_)), estimator.calibrator_)


def _label_type(classes: npt.NDArray[Any]) -> Any:
    """Labels are of the type of the classes: whole numbers, other numbers, or texts."""
    return {"f": FloatTensorType, **dict.fromkeys("iub", Int64TensorType)}.get(classes.dtype.kind, StringTensorType)
