"""The estimator inside a scikit-learn pipeline that skl2onnx exports. The only module that knows skl2onnx."""

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import onnx
from onnx import TensorProto, helper
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType

from trainer.classifier import Classifier
from trainer.errors import InvalidSetting
from trainer.export.graph import OPSET
from trainer.export.graph import to_onnx as table_to_onnx
from trainer.export.network import write_network
from trainer.export.nodes import Graph
from trainer.nn.calibrator import Calibrator


def estimator_to_onnx(estimator: Any) -> onnx.ModelProto:
    """The graph of a fitted estimator: input `X` float32 [N, features], outputs `label` and `probabilities`.

    Of one that has read a frame, the graph of a published model.
    """
    if estimator.encoder_ is not None:
        classes = tuple(map(str, estimator.classes_))
        idle = Calibrator.idle(len(classes))
        written: onnx.ModelProto = onnx.load_from_string(
            table_to_onnx(Classifier(estimator.encoder_, (estimator.network_,), classes, idle), {})
        )
        return written
    model: onnx.ModelProto = to_onnx(
        estimator, initial_types=[("X", FloatTensorType([None, estimator.n_features_in_]))], target_opset=OPSET
    )
    return model


def register_converter(estimator: type) -> None:
    """Make skl2onnx's options for classifiers, such as `zipmap`, known for our class too."""
    update_registered_converter(
        estimator,
        f"Evenkeel{estimator.__name__}",
        output_shapes,
        write_estimator,
        options={"zipmap": [True, False, "columns"], "nocl": [True, False], "output_class_labels": [True, False]},
    )


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
    if estimator.encoder_ is not None:
        raise InvalidSetting("a classifier that has read a frame of texts or gaps is exported by its own to_onnx()")
    label, probabilities = (output.full_name for output in operator.outputs)
    graph = Graph(prefix=scope.get_unique_operator_name("evenkeel") + "/")
    inputs = graph.node("Cast", [operator.inputs[0].full_name], "inputs", to=TensorProto.FLOAT)
    logits = write_network(graph, estimator.network_, inputs, estimator.n_features_in_)
    for constant in graph.constants:
        container.add_initializer(constant.name, constant.data_type, list(constant.dims), constant)
    for node in graph.nodes:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        container.add_node(
            node.op_type, list(node.input), list(node.output), op_domain=node.domain, name=node.name, **attributes
        )
    container.add_node("Softmax", logits, probabilities, name=f"{graph.prefix}softmax", axis=1)
    _write_label(graph.prefix, estimator.classes_, probabilities, label, container)


def _label_type(classes: npt.NDArray[Any]) -> Any:
    """Labels are of the type of the classes: whole numbers, other numbers, or texts."""
    return {"f": FloatTensorType, **dict.fromkeys("iub", Int64TensorType)}.get(classes.dtype.kind, StringTensorType)


def _write_label(prefix: str, classes: npt.NDArray[Any], probabilities: str, label: str, container: Any) -> None:
    index = f"{prefix}index"
    container.add_node("ArgMax", probabilities, index, name=index, axis=1, keepdims=0)
    names: dict[Any, tuple[str, Callable[[Any], Any]]]
    names = {FloatTensorType: ("values_floats", float), Int64TensorType: ("values_int64s", int)}
    attribute, convert = names.get(_label_type(classes), ("values_strings", str))
    container.add_node(
        "LabelEncoder",
        index,
        label,
        op_domain="ai.onnx.ml",
        op_version=2,
        name=f"{prefix}label",
        keys_int64s=list(range(len(classes))),
        **{attribute: [convert(one) for one in classes]},
    )
