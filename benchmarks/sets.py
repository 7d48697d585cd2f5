"""Do prediction sets hold, and how large are they? Real tables, a short training each, 200 divisions of held-out rows.

PYTHONPATH=. python benchmarks/sets.py --data ../shared/data [--only letter] [--splits 200] [--mapie PYTHON]

Half of each table trains one network for a few epochs: the sets count here, not the network. The other half is held
out, and divided at random again and again: some rows choose the threshold, as `fit --coverage` does it, and of the
others it is counted how often the true class is in the set. A division holds where that count is one of the middle
95 % that the card's interval leaves to so many rows (beta-binomial); 95 % of the divisions should.

`--mapie` names a Python with benchmarks/peers/requirements/mapie.txt, which makes sets of the same probabilities by the
same divisions: APS, with the last class at random, its default, and always with it; of two classes LAC, for which alone
it takes them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.quality import TASKS, Task, read_csv
from models.sets import PredictionSets
from trainer.evaluation.answers import Answers
from trainer.evaluation.sets import choose, coverage_interval
from trainer.job import job
from trainer.settings.config import TrainingConfig

TABLES = (
    *("phoneme", "telco_churn", "eeg_eye_state", "adult", "car"),
    *("covertype_ramp", "optdigits", "soybean", "letter", "abalone"),
)
SETTINGS = {"members": 1, "epochs": 12}
# Of a table, of the rows that choose a threshold, and outside of each end of an interval.
MOST_ROWS, MOST_CHOOSING, TAIL = 24_000, 1000, 0.025


class Division(NamedTuple):
    """What the sets of the rows that are counted came to, whether they held, and what the card would say."""

    coverage: float
    size: float
    holds: bool
    sets: PredictionSets


def answers_of(task: Task, folder: Path) -> Answers:
    """What a network says of the half that it was not trained on."""
    examples = read_csv(task, folder)
    shuffled = np.random.default_rng(0).permutation(len(examples))[:MOST_ROWS]
    train, held = np.split(shuffled, [len(shuffled) // 2])
    config = TrainingConfig.of(table=task.name, target=task.target, name="coverage", **SETTINGS)
    probabilities = job.train_on(config, examples.take(np.sort(train))).predict(examples.take(held).rows)
    return Answers(probabilities, probabilities, examples.labels[held], None)


def divide(answers: Answers, level: float, rows: int, seed: int) -> Division:
    kept, others = np.split(np.random.default_rng(seed).permutation(len(answers)), [rows])
    sets = choose(level, _taken(answers, kept), _taken(answers, others))
    assert sets.test is not None
    inside = round(sets.coverage * (rows + 1))
    repeated = sets.interval == coverage_interval(inside, rows, repeated=True)
    hits = round(sets.test.coverage * len(others))
    low = _at_most(hits, len(others), inside, rows + 1 - inside)
    high = 1 - _at_most(hits - 1, len(others), inside + repeated, max(rows + 1 - inside - repeated, 1e-9))
    return Division(sets.test.coverage, sets.test.mean_size, low >= TAIL and high >= TAIL, sets)


def _at_most(hits: int, counted: int, a: float, b: float) -> float:
    """The chance of so many hits at most, of a beta-binomial."""
    places = np.arange(counted)
    ratios = np.log((counted - places) / (places + 1)) + np.log((a + places) / (b + counted - places - 1))
    logs = np.concatenate([[0.0], np.cumsum(ratios)])
    weights = np.exp(logs - logs.max())
    return float(weights[: hits + 1].sum() / weights.sum())


def _taken(answers: Answers, places: npt.NDArray[np.int64]) -> Answers:
    return Answers(answers.probabilities[places], answers.uncalibrated[places], answers.labels[places], None)


def by_mapie(python: str, answers: Answers, level: float, rows: int, splits: int) -> Sequence[str]:
    """The cells of MAPIE: coverage, size, and how many sets are empty."""
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        np.savez(file, probabilities=answers.probabilities, labels=answers.labels)
        file.flush()
        script = Path(__file__).parent / "peers/mapie_sets.py"
        command = [python, str(script), file.name, str(level), str(rows), str(splits)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    cells = {
        way: f"{coverage:.3f}, {size:.2f}" + (f" ({empty:.1%} empty)" if empty else "")
        for way, (coverage, size, empty) in found.items()
    }
    return ("LAC " + cells["lac"], "–") if "lac" in cells else (cells["random"], cells["whole"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EVENKEEL_DATA", "../shared/data")))
    parser.add_argument("--only", nargs="+", default=TABLES)
    parser.add_argument("--levels", nargs="+", type=float, default=[0.9, 0.99])
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--mapie", metavar="PYTHON")
    options = parser.parse_args()
    peers = ["MAPIE APS", "MAPIE APS, last class in"] if options.mapie else []
    columns = ("table", "classes", "accuracy", "level", "rows", "divisions that hold", "ours", *peers)
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name in options.only:
        (task,) = (task for task in TASKS if task.name == name)
        answers = answers_of(task, options.data)
        accuracy = (answers.probabilities.argmax(axis=1) == answers.labels).mean()
        rows = min(MOST_CHOOSING, len(answers) // 2)
        for level in options.levels:
            found = [divide(answers, level, rows, seed) for seed in range(options.splits)]
            coverage, size, holds, _ = zip(*found, strict=True)
            cells = [name, str(answers.probabilities.shape[1]), f"{accuracy:.3f}", f"{level:g}", str(rows)]
            cells += [f"{np.mean(holds):.1%}", f"{np.mean(coverage):.3f}, {np.mean(size):.2f}"]
            if options.mapie:
                cells += by_mapie(options.mapie, answers, level, rows, options.splits)
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
