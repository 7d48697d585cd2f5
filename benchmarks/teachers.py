"""What gradient-boosted trees beside the bag are worth to a student: the same bag, with and without them.

PYTHONPATH=. python benchmarks/teachers.py --data ../shared/data [--only car sick] [--rows 10000]

Tables and splits are those of benchmarks/quality.py, with so many training and test rows at most. The share of the
trees is what `--teacher auto` chooses on validation rows.

Cells: log-loss on the test rows (nats), seconds of processor time.
"""

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from benchmarks.quality import TASKS, Task, read
from trainer.arrays import Array
from trainer.data.split import split
from trainer.fitting.members import members_for, train_bag
from trainer.fitting.start import Start, generator
from trainer.fitting.student import learn_from
from trainer.fitting.teacher import Teacher, choose_share
from trainer.fitting.trees import Trees
from trainer.measures.scores import losses_of
from trainer.settings.config import TrainingConfig

Rows = npt.NDArray[np.int64]
T = TypeVar("T")


def compare(task: Task, folder: Path, most: int) -> list[str]:
    """The cells of one table."""
    examples, train, test = read(task, folder)
    rng = np.random.default_rng(0)
    learned, unseen = (examples.take(_some(rows, most, rng)) for rows in (train, test))
    config = TrainingConfig(table=Path(task.name), target=task.target, name=task.name, teacher="auto")
    folds = split(learned, config.validation, 0.0, generator(config.seed, 0), members_for(len(learned)))
    start = Start.on(config, learned, folds)
    inputs = start.encoder.encode(unseen.rows)

    def loss(answer: Callable[[Array], Array]) -> float:
        return float(losses_of(answer(inputs), unseen.labels).mean())

    bag, seconds = timed(lambda: train_bag(config, start))
    trees, more = timed(lambda: Trees.beside(bag, config, start))
    share = choose_share(bag, trees, start)
    cells = [task.name, f"{loss(bag.classifier.predict_encoded):.4f}", f"{loss(trees.predict_encoded):.4f}"]
    students = [Teacher(bag)] if not share else [Teacher(bag), Teacher(bag, trees, share)]
    scores, times = [], [seconds, more]
    for teacher in students:
        student, took = timed(partial(learn_from, teacher, config, start))
        assert student is not None
        scores.append(loss(student.classifier.predict_encoded))
        times.append(took)
    cells += [f"{scores[0]:.4f}", f"{share:g}", f"{scores[-1]:.4f}", f"{scores[-1] / scores[0]:.3f}"]
    return [*cells, " + ".join(f"{one:.0f}" for one in times)]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What it returns, and the processor time that it took, in seconds."""
    began = time.process_time()
    return work(), time.process_time() - began


def _some(rows: Rows, most: int, rng: np.random.Generator) -> Rows:
    return rows if len(rows) <= most else rng.permutation(rows)[:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    print("| table | bag | trees | student of the bag | share | student of both | ratio | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for task in TASKS:
        if not options.only or task.name in options.only:
            print(f"| {' | '.join(compare(task, options.data, options.rows))} |", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
