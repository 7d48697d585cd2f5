"""A graph under construction: nodes and constants, in the order they were added."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from models.operators import OPERATORS


class Graph:
    """Nodes and constants; every method returns the name of what it made."""

    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        name = self.prefix + name
        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def node(self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        if operator not in OPERATORS[domain]:
            raise ValueError(f"a model may not contain {operator}; models.operators lists what it may")
        output = self.prefix + output
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def in_fours(self, write: Callable[[str], str], inputs: str, output: str, width: int) -> str:
        """What `write` makes of (N, `width`) numbers, so that a row's last digit does not depend on the other rows.

        Some operators onnxruntime works out four numbers at a time, and what is left over at the end by another method.
        Where the width leaves something over, a few columns are there twice meanwhile.
        """
        over = -width % 4
        if not over:
            return write(inputs)
        twice = self.constant(f"{output}/twice", np.arange(width + over) % width)
        whole = self.node("Gather", [inputs, twice], f"{output}/whole", axis=1)
        once = self.constant(f"{output}/once", np.arange(width))
        return self.node("Gather", [write(whole), once], f"{output}/cut", axis=1)
