"""Do the sets hold, and how large are they? Real tables, one short training each, 200 divisions of the held-out rows.

PYTHONPATH=. python benchmarks/coverage.py --data ../shared/data [--only letter] [--splits 200] [--mapie PYTHON]

Half of each table trains one network for a few epochs: it is the sets that count here, not the network. The other half
is held out. It is divided at random again and again: some rows choose the threshold, as `fit --coverage` does, and the
others say how often their class is in the set. A division holds where that share lies in the card's own 95 % interval,
allowing for the chance of as many rows as were counted (beta-binomial); 95 % of the divisions should.

`--mapie` names a Python with MAPIE (benchmarks/peers/requirements/mapie.txt), which makes sets of the same
probabilities with the same rows: APS, with its random last class and without it.
"""

from pathlib import Path

import numpy as np

from benchmarks.quality import Task, read_csv
from trainer import job
from trainer.config import TrainingConfig

TABLES = (
    *("phoneme", "telco_churn", "eeg_eye_state", "adult"),
    *("car", "covertype_ramp", "optdigits", "soybean", "letter", "abalone"),
)
SETTINGS = {"members": 1, "epochs": 12}
MOST_ROWS = 24_000


def probabilities_of(task: Task, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """What a network says of the rows that it was not trained on (n, classes), and their labels (n,)."""
    examples = read_csv(task, folder)
    shuffled = np.random.default_rng(0).permutation(len(examples))[:MOST_ROWS]
    train, held = np.split(shuffled, [len(shuffled) // 2])
    config = TrainingConfig.of(table=task.name, target=task.target, name="coverage", **SETTINGS)
    classifier = job.train_on(config, examples.take(np.sort(train)))
    return classifier.predict(examples.take(held).rows), examples.labels[held]
