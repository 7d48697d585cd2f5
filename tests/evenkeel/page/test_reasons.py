"""The reasons in JavaScript are those of the service."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.features import Record
from models.repository import PublishedModel
from service.prediction.explain import Explainer, Explanation, Reference
from service.prediction.predictor import Predictor
from tests.evenkeel.page.conftest import Javascript
from tests.evenkeel.page.test_parity import records_of, trained

EXPLAIN = """
import { offlineSource } from "./offline.js";
const bytes = new Uint8Array(readFileSync(given.model));
const source = offlineSource(JSON.parse(readFileSync(given.card, "utf8")), 1, bytes);
const answer = [];
for (const record of given.records) {
  try {
    answer.push(await source.explain(record, { reference: given.reference }));
  } catch (error) {
    answer.push({ message: error.message, status: error.status });
  }
}
"""


def explained(
    javascript: Javascript, model: PublishedModel, records: Sequence[Record], reference: Any, folder: Path
) -> list[Any]:
    (folder / "model").write_bytes(model.onnx)
    (folder / "card").write_text(model.card.to_json())
    files = {name: str(folder / name) for name in ("model", "card")}
    found: list[Any] = javascript(EXPLAIN, **files, records=list(records), reference=reference)
    return found


def expected_of(model: PublishedModel, records: Sequence[Record], reference: Any) -> list[Explanation]:
    predictor = Predictor(model)
    tensors = predictor.rows.read(records).tensors
    if isinstance(reference, str):
        held = Reference(reference, predictor.references[reference])
    else:
        held = Reference("given", predictor.rows.read([reference]).tensors)
    return list(Explainer(predictor, tensors, held).explain(predictor.predict(tensors)))


@pytest.mark.parametrize("which", ["typical", "background", "given"])
def test_of_few_features_they_are_the_same_numbers(
    which: str, penguins: Path, tmp_path: Path, javascript: Javascript
) -> None:
    """Label, reference, method and every value; they sum to the answer."""
    model = trained(penguins, "penguins", tmp_path / "store", target="species", background=3)
    records = records_of(penguins, "species")[::50]
    reference = records[3] if which == "given" else which

    found = explained(javascript, model, records, reference, tmp_path)
    for one, expected in zip(found, expected_of(model, records, reference), strict=True):
        assert (one["label"], one["reference"], one["method"]) == (expected.label, which, "exact")
        assert one["probability"] == pytest.approx(expected.probability, abs=1e-6)
        assert one["reference_probability"] == pytest.approx(expected.reference_probability, abs=1e-6)
        assert list(one["values"]) == [feature.name for feature in model.card.features]
        # Of differences of float32 probabilities, many of them.
        np.testing.assert_allclose(list(one["values"].values()), expected.values, rtol=0, atol=2e-6)
        assert sum(one["values"].values()) + one["reference_probability"] == pytest.approx(one["probability"], abs=1e-6)
        same = [name for name in records[0] if which == "given" and one is found[3] and one["values"][name] != 0]
        assert not same
    json.dumps(found)


def test_of_many_features_they_are_estimated_within_their_errors(tmp_path: Path, javascript: Javascript) -> None:
    """Other permutations are drawn, so that values differ by what their standard errors say."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(400, 16))
    labels = numbers @ rng.normal(size=16) + numbers[:, 0] * numbers[:, 1] > 0
    lines = [",".join([*(f"n{index}" for index in range(16)), "y"])]
    lines += [",".join([*map(str, row), "yes" if label else "no"]) for row, label in zip(numbers, labels, strict=True)]
    table = tmp_path / "many.csv"
    table.write_text("\n".join(lines) + "\n")
    model = trained(table, "many", tmp_path / "store", target="y", epochs=8, members=1)
    records = records_of(table, "y")[::250]

    found = explained(javascript, model, records, "typical", tmp_path)
    for one, expected in zip(found, expected_of(model, records, "typical"), strict=True):
        assert one["method"] == "permutations"
        assert expected.errors is not None
        errors = np.hypot(list(one["standard_errors"].values()), expected.errors)
        assert errors.max() < 0.01
        # Of 64 values some may be three standard errors apart, but hardly any five.
        assert (np.abs(np.array(list(one["values"].values())) - expected.values) <= 5 * errors + 1e-6).all()
        assert sum(one["values"].values()) + one["reference_probability"] == pytest.approx(one["probability"], abs=1e-6)


def test_a_reference_that_the_card_has_not_is_refused(penguins: Path, tmp_path: Path, javascript: Javascript) -> None:
    """As the service does: the sentence says what to do."""
    model = trained(penguins, "penguins", tmp_path / "store", target="species")
    records = records_of(penguins, "species")[:1]

    (found,) = explained(javascript, model, records, "background", tmp_path)
    assert found["status"] == 422
    assert "has no background rows" in found["message"]
