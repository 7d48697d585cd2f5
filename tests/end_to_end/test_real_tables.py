import os
from pathlib import Path

import numpy as np
import pytest

from models.repository import ModelRepository
from service.prediction.predictor import Predictor
from tests.end_to_end.conftest import ROOT
from trainer.data.table import read_table
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

DATA = Path(os.environ.get("EVENKEEL_DATA", ROOT.parent / "shared/data"))

# What each table brings: missing cells, constant columns, rows sorted by class, classes of one row, nothing but
# categories, more columns than a batch has rows, outliers, labels such as `<50`.
TARGETS = {
    "abalone": "Class_number_of_rings",
    "car": "class",
    "eeg_eye_state": "Class",
    "heart_cleveland": "num",
    "iris": "class",
    "mushroom": "class",
    "nursery": "class",
    "optdigits": "class",
    "phoneme": "Class",
    "sick": "Class",
    "soybean": "class",
    "telco_churn": "Churn",
}
DROPPED = {"telco_churn": ["customerID"]}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no tables in {DATA}; EVENKEEL_DATA names their folder")
@pytest.mark.parametrize("name", TARGETS)
def test_a_real_table_is_answered_by_the_service_as_by_the_network(name: str, tmp_path: Path, everything: bool) -> None:
    """Trained, exported, published, loaded: onnxruntime and numpy agree within 1e-5 on the table's own rows; of
    the network that has learned from a bag too, where there is time.
    """
    table = DATA / name / f"{name}.csv"
    members = 5 if everything else 1
    config = TrainingConfig.of(
        table=table, target=TARGETS[name], name=name, drop=DROPPED.get(name, ()), epochs=3, members=members
    )
    repository = ModelRepository(tmp_path)
    outcome = run(config, repository)
    predictor = Predictor(repository.read(name, outcome.version))
    rows = read_table(table, TARGETS[name], DROPPED.get(name, ())).examples.rows
    rows = rows.take(np.linspace(0, len(rows) - 1, 500, dtype=np.int64))
    answers = predictor.predict(predictor.rows.read(rows.records()).tensors)

    np.testing.assert_allclose(answers, outcome.classifier.predict(rows), rtol=0, atol=1e-5)
    assert outcome.card.metrics["train"].log_loss < np.log(len(outcome.card.classes))
