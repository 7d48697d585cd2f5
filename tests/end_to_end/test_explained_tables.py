"""Explanations of models of real tables: Shapley's axioms, and the exact values against sampled ones."""

from pathlib import Path

import numpy as np
import pytest

from models.repository import ModelRepository
from service.prediction import explain, shapley
from service.prediction.explain import Explainer, Explanation, Reference
from service.prediction.predictor import Predictor
from service.rows.tensors import Tensors
from tests.end_to_end.test_real_tables import DATA, DROPPED
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

# Texts alone, with missing cells in most rows, 64 and 753 numbers.
TARGETS = {"nursery": "class", "sick": "Class", "optdigits": "class", "pd_speech": "class"}
ROWS = 4
# Of probabilities that were 32-bit floats.
TOLERANCE = 1e-6

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no tables in {DATA}; EVENKEEL_DATA names their folder")


@pytest.fixture(scope="module", params=TARGETS)
def predictor(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    name = request.param
    table = next(path for path in sorted((DATA / name).iterdir()) if path.name.startswith(f"{name}.csv"))
    config = TrainingConfig.of(
        table=table, target=TARGETS[name], name=name, drop=DROPPED.get(name, ()), epochs=2, members=1, background=ROWS
    )
    repository = ModelRepository(Path(tmp_path_factory.mktemp(name)))
    run(config, repository)
    return Predictor(repository.read(name, 1))


def rows_of(predictor: Predictor) -> Tensors:
    """Test rows: the card's golden ones, the last of which has nothing in it."""
    return predictor.rows.read([row.instance for row in predictor.card.golden[-ROWS:]]).tensors


def explained(predictor: Predictor, tensors: Tensors, reference: Reference) -> list[Explanation]:
    return list(Explainer(predictor, tensors, reference, 1 << 28).explain(predictor.predict(tensors), 120.0))


@pytest.mark.parametrize("name", ["typical", "background"])
def test_values_sum_to_the_answer_and_equal_values_have_none(predictor: Predictor, name: str) -> None:
    """Efficiency, and the dummies that anybody sees; whether values are exact or sampled."""
    tensors, held = rows_of(predictor), predictor.references[name]
    found = explained(predictor, tensors, Reference(name, held))
    for row, explanation in enumerate(found):
        difference = explanation.probability - explanation.reference_probability
        assert explanation.values.sum() == pytest.approx(difference, abs=TOLERANCE)
        for kind, features in predictor.inputs.items():
            for column, feature in enumerate(features):
                place = [each.name for each in predictor.card.features].index(feature.name)
                value, others = tensors[kind][row, column], held[kind][:, column]
                same = (others == value) | (np.array([value != value]) & (others != others))
                if same.all():
                    assert explanation.values[place] == 0


def test_what_leads_there_leads_back(predictor: Predictor) -> None:
    """With row and reference exchanged, each value is the same with the other sign, where the class is the same."""
    tensors = rows_of(predictor)
    one, other = ({kind: tensor[row : row + 1] for kind, tensor in tensors.items()} for row in (0, 1))
    there = explained(predictor, one, Reference("given", other))[0]
    place = predictor.card.classes.index(there.label)
    decide, predictor.decide = predictor.decide, lambda probabilities: [place] * len(probabilities)
    try:
        back = explained(predictor, other, Reference("given", one))[0]
    finally:
        predictor.decide = decide

    if there.errors is None or back.errors is None:
        assert there.values == pytest.approx(-back.values, abs=TOLERANCE)
    else:
        assert (abs(there.values + back.values) <= 5 * np.hypot(there.errors, back.errors) + TOLERANCE).all()


def test_sampled_values_are_near_the_exact_ones(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows that differ from the typical one in a few features: within five standard errors."""
    typical = predictor.references["typical"]
    row = rows_of(predictor)
    mixed: Tensors = {kind: tensor.copy() for kind, tensor in typical.items()}
    for kind, tensor in mixed.items():
        tensor[:, :6] = row[kind][:1, :6]
    reference = Reference("typical", typical)
    exact = explained(predictor, mixed, reference)[0]
    monkeypatch.setattr(shapley, "MOST_EXACT", 1)
    # The error of few pairs is itself not known well.
    monkeypatch.setattr(explain, "FIRST_PAIRS", 256)
    found = explained(predictor, mixed, reference)[0]

    assert exact.errors is None
    if found.errors is not None:
        assert (abs(found.values - exact.values) <= 5 * found.errors + TOLERANCE).all()
