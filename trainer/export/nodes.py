"""A graph under construction: nodes and constants, in the order they were added."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from models.operators import OPERATORS

# From up to so many columns, a product with a matrix that is zero almost everywhere takes less time than gathering what
# it needs of them; from more it takes more, and the matrix more room in the file.
NARROW = 64


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

    def node(
        self, operator: str, inputs: Sequence[str], output: str, *others: str, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node; `others` are outputs behind its first, which nothing takes."""
        if operator not in OPERATORS[domain]:
            raise ValueError(f"a model may not contain {operator}; models.operators lists what it may")
        output, *unused = (self.prefix + one for one in (output, *others))
        outputs = [output, *unused]
        self.nodes.append(helper.make_node(operator, inputs, outputs, name=output, domain=domain, **attributes))
        return output

    def repeated(self, inputs: str, width: int, columns: npt.NDArray[np.int64], output: str) -> str:
        """Some columns of (N, `width`) finite numbers, each as often as it is listed."""
        if width > NARROW:
            listed = self.constant(f"{output}/columns", columns)
            return self.node("Gather", [inputs, listed], output, axis=1)
        chosen = np.zeros((width, len(columns)), np.float32)
        chosen[columns, np.arange(len(columns))] = 1
        return self.node("MatMul", [inputs, self.constant(f"{output}/chosen", chosen)], output)

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
