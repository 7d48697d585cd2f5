"""What it is worth to choose input dropout and codes: the same tables with the choice and without it.

PYTHONPATH=. python benchmarks/selection.py --data ../shared/data [--only car car#] [--splits 3] [--rows 4000]

No test row is read: the training part of each table in benchmarks/quality.py is split 70/30, several times, and the
smaller side is scored. A table with # has its texts as whole numbers in an order by chance, as codes often stand.

Cells: how often a candidate was chosen, log-loss with the defaults (nats), and that of the choice by it, by split.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from benchmarks.quality import TASKS, Task, read
from trainer.data.rows import Column, Examples, Rows
from trainer.data.split import split
from trainer.fitting.fitted import train_all
from trainer.fitting.members import members_for
from trainer.fitting.start import Start, generator
from trainer.measures.scores import losses_of
from trainer.settings.config import TrainingConfig

TABLES = ("car", "car#", "soybean", "soybean#", "nursery#", "penguins", "heart_cleveland", "sick", "phoneme")


def coded(examples: Examples) -> Examples:
    """The examples with each text as a whole number, in an order by chance."""
    rows, rng = examples.rows, np.random.default_rng(0)
    numbers = [rng.permutation(len(known))[rows.codes[:, at]] for at, known in enumerate(rows.vocabularies)]
    columns = [column for column in rows.columns if column.kind != "categorical"]
    columns += [Column(f"code{at}", "numeric", nullable=False) for at in range(len(numbers))]
    values = np.column_stack([rows.numeric, *numbers]).astype(np.float32)
    no_texts = np.empty((len(rows), 0), np.int32)
    return Examples(Rows(tuple(columns), values, no_texts, ()), examples.labels, examples.classes)


def halves(task: Task, folder: Path, *, as_codes: bool, splits: int, most: int) -> Iterator[tuple[Examples, Examples]]:
    """The training part of a table split 70/30 so many times, each side of `most` rows at most."""
    from sklearn.model_selection import train_test_split

    examples, train, _ = read(task, folder)
    examples = coded(examples) if as_codes else examples
    counts = np.bincount(examples.labels[train])
    groups = np.where(counts[examples.labels[train]] > 1, examples.labels[train], counts.argmax())
    for number in range(splits):
        parts = train_test_split(train, test_size=0.3, random_state=1 + number, stratify=groups)
        rng = np.random.default_rng(number)
        learned, held_out = (examples.take(np.sort(rng.permutation(part)[:most])) for part in parts)
        yield learned, held_out


def log_loss(learned: Examples, held_out: Examples, seed: int, *, selection: bool) -> tuple[float, bool]:
    """The log-loss of what would be published, and whether a candidate was chosen."""
    config = TrainingConfig(table=Path("t"), target="y", name="t", seed=seed, selection=selection)
    folds = split(learned, config.validation, 0.0, generator(config.seed, 0), members_for(len(learned)))
    fitted = train_all(config, Start.on(config, learned, folds))
    losses = losses_of(fitted.classifier.predict(held_out.rows), held_out.labels)
    return float(losses.mean()), fitted.selection.chosen is not None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="+", default=TABLES)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--rows", type=int, default=4000)
    options = parser.parse_args()
    print("| table | chosen | with the defaults | the choice by it |\n|---|---|---|---|")
    for name in options.only:
        (task,) = (task for task in TASKS if task.name == name.rstrip("#"))
        plain, ratios, times = [], [], 0
        how = {"as_codes": name.endswith("#"), "splits": options.splits, "most": options.rows}
        for seed, (learned, held_out) in enumerate(halves(task, options.data, **how)):
            without, _ = log_loss(learned, held_out, seed, selection=False)
            chosen, changed = log_loss(learned, held_out, seed, selection=True)
            plain.append(without)
            ratios.append(chosen / without)
            times += changed
        cells = f"{times} of {options.splits} | {np.mean(plain):.4f} | {', '.join(f'{ratio:.2f}' for ratio in ratios)}"
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
