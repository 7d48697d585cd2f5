"""How good the defaults are: real tables, one split, next to the defaults of others.

PYTHONPATH=. python benchmarks/quality.py --data ../shared/data [--only adult letter] [--against CatBoost]
    [--measure log_loss]

Each table is split once: its official test rows where there are any, else 70/30, stratified, random_state 0. Ours takes
its validation rows out of the training part. Two tables are too long for the peers' patience, and they get a random
part of the training rows there. Without `--against` they are scikit-learn's; benchmarks/contestants.py has the others.

Cells: accuracy / log-loss (nats) / AUC / ECE; seconds of fitting; peak memory of ours in MiB.
"""

import argparse
import gzip
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.contestants import CONTESTANTS, SCIKIT, fit_and_predict
from trainer.data.rows import Column, Examples, Rows
from trainer.data.table import read_table
from trainer.job import job
from trainer.settings.config import TrainingConfig
from trainer.training.calibration import calibration_error

Floats = npt.NDArray[np.floating[Any]]
MEASURES = ("accuracy", "log_loss", "auc", "ece", "seconds")


@dataclass(frozen=True)
class Task:
    """A table, its target, and how many of its first rows are the official training rows (0: none).

    Peers train on `for_peers` rows at most.
    """

    name: str
    target: str
    drop: tuple[str, ...] = ()
    official: int = 0
    for_peers: int | None = None


TASKS = [
    Task("iris", "class"),
    Task("pd_speech", "class", ("rownames",)),
    Task("heart_cleveland", "num"),
    Task("penguins", "species"),
    Task("soybean", "class"),
    Task("car", "class"),
    Task("sick", "Class"),
    Task("abalone", "Class_number_of_rings"),
    Task("phoneme", "Class"),
    Task("optdigits", "class"),
    Task("telco_churn", "Churn", ("customerID",)),
    Task("mushroom", "class"),
    Task("nursery", "class"),
    Task("eeg_eye_state", "Class"),
    Task("letter", "class", (), 15_000),
    Task("adult", "income", (), 32_561),
    Task("covertype_ramp", "Cover_Type"),
    Task("skin_segmentation", "class"),
    Task("mnist", "class", (), 60_000, for_peers=10_000),
    Task("kddcup99", "label", for_peers=100_000),
]


def read(task: Task, folder: Path) -> tuple[Examples, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The examples of a table, and which of them train and test."""
    from sklearn.model_selection import train_test_split

    examples = read_mnist(folder / task.name) if task.name == "mnist" else read_csv(task, folder)
    rows = np.arange(len(examples))
    if task.official:
        return examples, rows[: task.official], rows[task.official :]
    counts = np.bincount(examples.labels)
    # A class of one row cannot be in both parts.
    groups = np.where(counts[examples.labels] > 1, examples.labels, counts.argmax())
    train, test = train_test_split(rows, test_size=0.3, random_state=0, stratify=groups)
    return examples, np.sort(train), np.sort(test)


def read_csv(task: Task, folder: Path) -> Examples:
    (path,) = (folder / task.name).glob(f"{task.name}.csv*")
    return read_table(path, task.target, task.drop).examples


def read_mnist(folder: Path) -> Examples:
    """The images as a table of pixels, the official training rows first."""
    images, labels = (
        np.concatenate(
            [
                np.frombuffer(
                    gzip.decompress((folder / f"{part}-{kind}-ubyte.gz").read_bytes()), np.uint8, offset=header
                )
                for part in ("train", "t10k")
            ]
        )
        for kind, header in (("images-idx3", 16), ("labels-idx1", 8))
    )
    pixels = images.reshape(len(labels), -1).astype(np.float32)
    columns = tuple(Column(f"pixel{index}", "numeric", nullable=False) for index in range(pixels.shape[1]))
    rows = Rows(columns, pixels, np.empty((len(pixels), 0), np.int32), ())
    return Examples(rows, labels.astype(np.int64), tuple(map(str, range(10))))


def measure(labels: npt.NDArray[np.int64], probabilities: Floats) -> dict[str, float]:
    """Accuracy, log-loss, AUC (one against the rest, unweighted) and the calibration error of the likeliest class."""
    from sklearn.metrics import roc_auc_score

    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1.0)
    best = clipped.argmax(axis=1)
    present = [one for one in range(clipped.shape[1]) if 0 < (labels == one).sum() < len(labels)]
    areas = [roc_auc_score(labels == one, clipped[:, one]) for one in present]
    return {
        "accuracy": float((best == labels).mean()),
        "log_loss": float(-np.log(clipped[np.arange(len(labels)), labels]).mean()),
        "auc": float(np.mean(areas)),
        "ece": calibration_error(clipped.max(axis=1), best == labels),
    }


def ours(task: Task, folder: Path, settings: dict[str, Any]) -> dict[str, float]:
    examples, train, test = read(task, folder)
    config = TrainingConfig.of(table=task.name, target=task.target, name="quality", **settings)
    start_time = time.perf_counter()
    probabilities = job.train_on(config, examples.take(train)).predict(examples.take(test).rows)
    seconds = time.perf_counter() - start_time
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {**measure(examples.labels[test], probabilities), "seconds": seconds, "mebibytes": peak}


def peer(name: str, task: Task, folder: Path) -> dict[str, float]:
    """Another classifier with its defaults, trained on the whole training part."""
    examples, train, test = read(task, folder)
    if task.for_peers:
        train = np.random.RandomState(0).permutation(train)[: task.for_peers]
    start_time = time.perf_counter()
    classes, known = fit_and_predict(name, examples.rows, examples.labels, train, test)
    seconds = time.perf_counter() - start_time
    probabilities = np.zeros((len(test), len(examples.classes)))
    probabilities[:, classes] = known
    return {**measure(examples.labels[test], probabilities), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EVENKEEL_DATA", "../shared/data")))
    parser.add_argument("--only", nargs="+", default=[task.name for task in TASKS])
    parser.add_argument("--against", nargs="*", default=SCIKIT, choices=CONTESTANTS, help="none for ours alone")
    parser.add_argument("--setting", action="append", default=[], metavar="NAME=VALUE", help="change one of ours")
    parser.add_argument("--measure", choices=MEASURES, help="this one alone, of each contestant")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options)))
        return
    peers = options.against
    print("| table | " + " | ".join(("ours", *peers)) + " |\n|" + "---|" * (2 + len(peers)))
    for name in options.only:
        cells = [show(measured_alone(name, contestant, options), options.measure) for contestant in ("ours", *peers)]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def measured_alone(name: str, contestant: str, options: argparse.Namespace) -> dict[str, float]:
    """Run one contestant on one table in a process of its own, so that nobody's memory or threads are another's."""
    command = [sys.executable, __file__, "--data", str(options.data), "--only", name, "--one", contestant]
    command += [f"--setting={setting}" for setting in options.setting]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | threads)
    if done.returncode:
        sys.exit(f"{contestant} on {name}:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def run_one(options: argparse.Namespace) -> dict[str, float]:
    (task,) = (task for task in TASKS if task.name == options.only[0])
    if options.one == "ours":
        return ours(task, options.data, dict(setting.split("=", 1) for setting in options.setting))
    return peer(options.one, task, options.data)


def show(cell: dict[str, float], one: str | None) -> str:
    if one:
        return f"{cell[one]:.4f}"
    memory = f"; {cell['mebibytes']:.0f} MiB" if "mebibytes" in cell else ""
    scores = f"{cell['accuracy']:.4f} / {cell['log_loss']:.4f} / {cell['auc']:.4f} / {cell['ece']:.3f}"
    return f"{scores}; {cell['seconds']:.1f} s{memory}"


if __name__ == "__main__":
    main()
