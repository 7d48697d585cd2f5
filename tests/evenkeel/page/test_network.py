"""What the reader in JavaScript refuses, and in which words."""

from typing import Any

import onnx
import pytest
from onnx import helper

from models.repository import ModelRepository
from tests.conftest import ROOT
from tests.evenkeel.page.conftest import Javascript, in_base64
from trainer.export.graph import without_metadata

READ = """
import { Network } from "./network.js";
import { RefusedModel } from "./protobuf.js";
const answer = given.models.map((model) => {
  try {
    new Network(bytesOf(model), ["probabilities"]);
    return null;
  } catch (error) {
    return [error instanceof RefusedModel, error.message];
  }
});
"""


@pytest.fixture(scope="module")
def whole() -> bytes:
    model = ModelRepository(ROOT / "tests/service/published").read("penguins", 1)
    return without_metadata(model.onnx)


def complaints(javascript: Javascript, *models: bytes) -> list[tuple[bool, str] | None]:
    found = javascript(READ, models=[in_base64(model) for model in models])
    return [None if one is None else (one[0], one[1]) for one in found]


def changed(model: bytes, change: Any) -> bytes:
    proto = onnx.load_from_string(model)
    change(proto)
    serialized: bytes = proto.SerializeToString()
    return serialized


def test_a_model_that_ends_early_is_refused(whole: bytes, javascript: Javascript) -> None:
    """Wherever it ends; never by an error of JavaScript's own."""
    found = complaints(javascript, whole, *(whole[:end] for end in range(1, len(whole), 997)))

    assert found[0] is None
    assert len(found) > 20
    assert all(one is not None and one[0] for one in found[1:])


def rename(proto: onnx.ModelProto) -> None:
    proto.graph.node[3].op_type = "Loop"


def remove(proto: onnx.ModelProto) -> None:
    del proto.graph.node[2]


def circle(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].input[0] = "probabilities"


def opset(proto: onnx.ModelProto) -> None:
    proto.opset_import[0].version = 21


def attribute(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].attribute.append(helper.make_attribute("strange", 1))


def shape(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[0] += 1


def function(proto: onnx.ModelProto) -> None:
    proto.functions.add(name="something")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rename, "the model holds the operator Loop, which is not known here"),
        (remove, "which nothing in it makes"),
        (circle, "to make"),
        (opset, "the model is of opset ai.onnx 21, which is not known here"),
        (attribute, "with the attribute strange, which is not known here"),
        (shape, "whose data do not fill its shape"),
        (function, "the model holds a field that no model here may have"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(
    change: Any, sentence: str, whole: bytes, javascript: Javascript
) -> None:
    (found,) = complaints(javascript, changed(whole, change))

    assert found is not None
    assert found[0]
    assert sentence in found[1]


def test_the_digest_is_sha_256(javascript: Javascript) -> None:
    """Of every length around a block's, against node's own."""
    wrong = javascript(
        """
        import { createHash } from "node:crypto";
        import { sha256 } from "./sha256.js";
        const answer = [];
        for (let length = 0; length < 300; length++) {
          const bytes = Uint8Array.from({ length }, (_, index) => (index * 37 + length) & 255);
          if (sha256(bytes) !== createHash("sha256").update(bytes).digest("hex")) answer.push(length);
        }
        """
    )
    assert wrong == []
