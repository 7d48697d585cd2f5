import json
from dataclasses import replace
from typing import get_args

import numpy as np
import onnx
import pytest

from models.card import ModelCard
from models.operators import OPERATORS
from models.sets import PredictionSets
from trainer.card.describe import FILES, mirror
from trainer.data.encoder import fit_encoder
from trainer.data.rows import Examples
from trainer.data.scaling import Kind
from trainer.errors import ExportMismatch, NoStatistics
from trainer.export.gate import check_export, edge_rows
from trainer.export.graph import reference_predict, to_onnx
from trainer.job.publishing import Outcome
from trainer.nn.activations import ACTIVATIONS
from trainer.nn.architecture import Architecture, build_network
from trainer.nn.network import population_moments

SETS = PredictionSets(level=0.9, rows=100, threshold=0.5, coverage=0.9, interval=(0.8, 0.95))


@pytest.fixture(scope="module")
def model(outcome: Outcome) -> bytes:
    return to_onnx(outcome.classifier, mirror(outcome.card))


def test_the_graph_answers_as_the_network_does(outcome: Outcome, examples: Examples, model: bytes) -> None:
    """On every row of the table and on the edges, within float32 rounding."""
    for rows in (examples.rows, edge_rows(examples.rows)):
        labels, probabilities, _ = reference_predict(model, rows)
        expected = outcome.classifier.predict(rows)
        np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
        assert labels == [outcome.classifier.classes[index] for index in expected.argmax(axis=1)]


def test_the_edges_are_answered_with_probabilities(outcome: Outcome, examples: Examples) -> None:
    """All missing, unseen texts, the largest floats: always finite, always summing to one."""
    probabilities = outcome.classifier.predict(edge_rows(examples.rows))

    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_the_gate_stops_a_graph_that_answers_otherwise(outcome: Outcome, examples: Examples, model: bytes) -> None:
    """A single frozen mean that is off by a tenth is noticed."""
    proto = onnx.load_from_string(model)
    mean = next(tensor for tensor in proto.graph.initializer if tensor.name.endswith("/mean"))
    wrong = onnx.numpy_helper.to_array(mean).copy()
    wrong[0] += 0.1
    mean.CopyFrom(onnx.numpy_helper.from_array(wrong, mean.name))

    rng = np.random.default_rng(0)
    assert check_export(model, outcome.classifier, examples.rows, rng) <= 1e-5
    with pytest.raises(ExportMismatch, match="graph and network differ"):
        check_export(proto.SerializeToString(), outcome.classifier, examples.rows, rng)


def test_the_gate_stops_labels_in_another_order(outcome: Outcome, examples: Examples) -> None:
    """The label must be the class of the largest probability."""
    shuffled = replace(outcome.classifier, classes=tuple(reversed(outcome.classifier.classes)))

    with pytest.raises(ExportMismatch, match="labels are not what its probabilities say"):
        check_export(to_onnx(shuffled, {}), outcome.classifier, examples.rows, np.random.default_rng(0))


def test_the_gate_stops_sets_of_another_threshold(outcome: Outcome, examples: Examples) -> None:
    """Which class belongs to an answer is what the card says; and where it says nothing, the graph does neither."""
    classifier, rows, rng = outcome.classifier, examples.rows, np.random.default_rng(0)
    model = to_onnx(classifier, {}, sets=SETS.model_copy(update={"threshold": 0.0}))

    for sets in (SETS, None):
        with pytest.raises(ExportMismatch, match="sets are not what its probabilities say"):
            check_export(model, classifier, rows, rng, sets=sets)


def test_the_file_runs_anywhere(model: bytes) -> None:
    """Opset 17, ai.onnx.ml 3, IR 8, and nothing outside the two standard domains."""
    proto = onnx.load_from_string(model)

    assert proto.ir_version == 8
    assert {opset.domain: opset.version for opset in proto.opset_import} == {"": 17, "ai.onnx.ml": 3}
    assert all(node.op_type in OPERATORS[node.domain] for node in proto.graph.node)


def test_the_list_of_operators_has_nothing_to_spare(outcome: Outcome, examples: Examples) -> None:
    """Every scaling and every activation, embeddings, a bag: together they use each operator that is allowed."""
    used: dict[str, set[str]] = {"": set(), "ai.onnx.ml": set()}
    rng = np.random.default_rng(0)
    for scaling in get_args(Kind):
        encoder = fit_encoder(examples.rows, scaling=scaling, one_hot=8 if scaling == "robust" else 0)
        shape = {"coded": len(encoder.coded), "codes": encoder.codes, "periodic": 0.2, "varied": encoder.varied}
        for activation in ACTIVATIONS:
            architecture = Architecture(encoder.width, (4,), 3, activation, **shape)  # type: ignore[arg-type]
            network = build_network(architecture, rng)
            network.freeze(population_moments(network, encoder.encode(examples.rows), 64))
            classifier = replace(outcome.classifier, encoder=encoder, networks=(network, network))
            model = to_onnx(classifier, {}, sets=SETS)
            assert check_export(model, classifier, examples.rows, rng, sets=SETS) <= 1e-5
            for node in onnx.load_from_string(model).graph.node:
                used[node.domain].add(node.op_type)

    assert {(domain, one) for domain in OPERATORS for one in OPERATORS[domain] - used[domain]} == set()


def test_hidden_layers_can_be_fused_and_read(model: bytes, outcome: Outcome) -> None:
    """MatMul, BatchNormalization, Relu in a row, the frozen statistics in the file as they stand in the card."""
    proto = onnx.load_from_string(model)
    operators = [node.op_type for node in proto.graph.node]
    start = operators.index("BatchNormalization") - 1
    assert operators[start : start + 7] == [*["MatMul", "BatchNormalization", "Relu"] * 2, "Gemm"]

    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    frozen = outcome.card.frozen_statistics[0]
    node = proto.graph.node[start + 1]
    np.testing.assert_allclose(constants[node.input[3]], frozen.layers[0].running.mean, rtol=1e-6)
    np.testing.assert_allclose(constants[node.input[4]], frozen.layers[0].running.variance, rtol=1e-6)


def test_the_file_alone_tells_a_stranger_everything(model: bytes, outcome: Outcome) -> None:
    """The card stands in the metadata, but for the time, the table's file, and the digests of rows and of the file."""
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load_from_string(model).metadata_props}
    made = json.loads(outcome.card.provenance.model_dump_json())
    metadata["provenance"] |= {key: made[key] for key in ("created", *FILES)}

    assert ModelCard.model_validate(metadata) == outcome.card.model_copy(update={"files": {}, "learned_rows": None})


@pytest.mark.parametrize("place", ["before", "after", "none"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_kind_of_layer_is_exported(activation: str, place: str, outcome: Outcome, examples: Examples) -> None:
    """Any activation, batch norm before, after or nowhere, dropout: the graph answers as the network, within 1e-5."""
    rng = np.random.default_rng(0)
    width = outcome.classifier.encoder.width
    front = {"coded": 2, "codes": 10, "periodic": 0.5, "varied": (0, 2), "input_dropout": 0.1, "dropout": 0.2}
    network = build_network(Architecture(width, (6, 5), 3, activation, place, **front), rng)  # type: ignore[arg-type]
    network.values += 0.3 * rng.normal(size=network.values.shape).astype(np.float32)
    network.freeze(population_moments(network, outcome.classifier.encoder.encode(examples.rows), 64))
    classifier = replace(outcome.classifier, networks=(network,))

    assert check_export(to_onnx(classifier, {}), classifier, examples.rows, rng) <= 1e-5


@pytest.mark.parametrize("hidden", [(), (6, 5)], ids=["softmax regression", "two layers"])
def test_the_waves_of_numbers_are_products_and_a_cosine(
    hidden: tuple[int, ...], outcome: Outcome, examples: Examples
) -> None:
    """No node handles the numbers one by one, which takes longer than all of the arithmetic."""
    rng = np.random.default_rng(0)
    encoder = outcome.classifier.encoder
    front = {"coded": 2, "codes": 10, "periodic": 0.5, "varied": (0, 2), "input_dropout": 0.1}
    network = build_network(Architecture(encoder.width, hidden, 3, **front), rng)  # type: ignore[arg-type]
    network.values += 0.3 * rng.normal(size=network.values.shape).astype(np.float32)
    network.freeze(population_moments(network, encoder.encode(examples.rows), 64))
    classifier = replace(outcome.classifier, networks=(network,))

    model = to_onnx(classifier, {})

    operators = [node.op_type for node in onnx.load_from_string(model).graph.node]
    start = operators.index("Cos") - 1
    last = ["MatMul", "BatchNormalization"] if hidden else ["Gemm", "Mul", "Add", "Softmax"]
    assert operators[start : start + 4 + len(last)] == ["Gemm", "Cos", "MatMul", "Concat", *last]
    assert check_export(model, classifier, examples.rows, rng) <= 1e-5


def test_a_wide_table_is_gathered_and_answers_the_same(
    outcome: Outcome, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where products would be mostly zeros, for atoms, categories and waves: another layout, the same answers."""
    rng = np.random.default_rng(0)
    encoder = replace(outcome.classifier.encoder, atoms=((1, np.array([18.0, 18.5], np.float32)),))
    network = build_network(Architecture(encoder.width, (6,), 3, periodic=0.5, varied=(0, 2)), rng)
    network.freeze(population_moments(network, encoder.encode(examples.rows), 64))
    classifier = replace(outcome.classifier, encoder=encoder, networks=(network,))
    narrow = to_onnx(classifier, {})
    for module in ("nodes", "network"):
        monkeypatch.setattr(f"trainer.export.{module}.NARROW", 1)

    wide = to_onnx(classifier, {})

    gathered = {node.name for node in onnx.load_from_string(wide).graph.node if node.op_type == "Gather"}
    assert {"atoms/repeated", "one_hot/repeated", "layer0/embedded"} <= gathered
    assert check_export(wide, classifier, examples.rows, rng) <= 1e-5
    one, other = (reference_predict(model, examples.rows)[1] for model in (narrow, wide))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_an_infinity_leaves_the_atoms_of_other_columns_alone(outcome: Outcome, examples: Examples) -> None:
    """Atoms are found by a product over all numbers of a row, in which it must not spread."""
    encoder = replace(outcome.classifier.encoder, atoms=((1, np.array([18.0, 18.5], np.float32)),))
    rng = np.random.default_rng(0)
    network = build_network(Architecture(encoder.width, (6,), 3), rng)
    network.values += 0.3 * rng.normal(size=network.values.shape).astype(np.float32)
    network.freeze(population_moments(network, encoder.encode(examples.rows), 64))
    classifier = replace(outcome.classifier, encoder=encoder, networks=(network,))
    numeric = examples.rows.numeric.copy()
    numeric[:, 0], numeric[:, 1] = np.inf, 18.0
    rows = replace(examples.rows, numeric=numeric)

    probabilities = reference_predict(to_onnx(classifier, {}), rows).probabilities

    np.testing.assert_allclose(probabilities, classifier.predict(rows), rtol=0, atol=1e-5)


def test_a_network_that_saw_no_batch_cannot_be_exported(outcome: Outcome) -> None:
    """It has nothing to freeze."""
    width = outcome.classifier.encoder.width
    blank = build_network(Architecture(width, (4,), 3), np.random.default_rng(0))

    with pytest.raises(NoStatistics):
        to_onnx(replace(outcome.classifier, networks=(blank,)), {})
