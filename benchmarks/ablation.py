"""What each part of the defaults is worth: the defaults, and the defaults with one thing changed, table by table.

PYTHONPATH=. python benchmarks/ablation.py --data ../shared/data [--only adult letter] [--change periodic=0]

Nothing here sees a test row: the training part of each table in benchmarks/quality.py is split again, 70/30, and the
smaller side is scored. Small tables are split, and trained on, several times. Cells: log-loss (nats), the mean over the
splits; the last column is the geometric mean over the tables of a row's log-loss by that of the defaults.
"""

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.quality import TASKS, Task, measure, read
from trainer.data.rows import Examples
from trainer.job import job
from trainer.settings.config import TrainingConfig

CHANGES = (
    "",
    "members=1",
    "distil=false",
    "student=128,128",
    "student=192,192,192",
    "periodic=0",
    "input_dropout=0",
    "atoms=false",
    "one_hot=1000",
    "scaling=standard",
    "scaling=quantile",
    "hidden=64,64",
    "activation=silu",
    "batch_norm=none",
    "statistics=population",
    "schedule=constant",
    "weight_decay=0",
)
# The others are learned to the end whatever one changes, or take too long.
LEFT_OUT = ("iris", "pd_speech", "mushroom", "nursery", "skin_segmentation", "covertype_ramp", "mnist", "kddcup99")
TABLES = [task.name for task in TASKS if task.name not in LEFT_OUT]
SPLITS_OF_SMALL, SMALL = 4, 1500


@dataclass(frozen=True)
class Inner:
    """A table's training part, split again."""

    task: Task
    train: Examples
    held_out: Examples


def inner_splits(task: Task, folder: Path) -> list[Inner]:
    """One split of a table's training part, several where it is small."""
    from sklearn.model_selection import train_test_split

    examples, train, _ = read(task, folder)
    labels = examples.labels[train]
    counts = np.bincount(labels)
    groups = np.where(counts[labels] > 1, labels, counts.argmax())
    halves = [
        train_test_split(train, test_size=0.3, random_state=1 + seed, stratify=groups)
        for seed in range(SPLITS_OF_SMALL if len(train) < SMALL else 1)
    ]
    return [Inner(task, *(examples.take(np.sort(half)) for half in pair)) for pair in halves]


def log_loss(inner: Inner, seed: int, settings: dict[str, Any]) -> float:
    config = TrainingConfig.of(table=inner.task.name, target=inner.task.target, name="ablation", seed=seed, **settings)
    classifier = job.train_on(config, inner.train)
    scores = measure(inner.held_out.labels, classifier.predict(inner.held_out.rows))
    return scores["log_loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EVENKEEL_DATA", "../shared/data")))
    parser.add_argument("--only", nargs="+", default=TABLES)
    parser.add_argument("--change", action="append", help="settings that differ from the defaults, a space between")
    options = parser.parse_args()
    tasks = [task for task in TASKS if task.name in options.only]
    splits = {task.name: inner_splits(task, options.data) for task in tasks}
    print("| change | " + " | ".join(splits) + " | of the defaults | seconds |\n|" + "---|" * (len(splits) + 3))
    defaults = np.array([])
    for change in ("", *options.change) if options.change else CHANGES:
        began = time.perf_counter()
        settings = dict(part.split("=", 1) for part in change.split())
        losses = np.array(
            [
                np.mean([log_loss(inner, seed, settings) for seed, inner in enumerate(inners)])
                for inners in splits.values()
            ]
        )
        defaults = losses if not change else defaults
        ratio = np.exp(np.log(losses / defaults).mean())
        cells = " | ".join(f"{loss:.4f}" for loss in losses)
        print(f"| {change or 'none'} | {cells} | {ratio:.3f} | {time.perf_counter() - began:.0f} |", flush=True)


if __name__ == "__main__":
    main()
