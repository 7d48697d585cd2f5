"""The search: what it costs beside the training, what a second process brings, and how it does next to others.

PYTHONPATH=. python benchmarks/search.py overhead|jobs|peers|grid --data ../shared/data [--seconds 60] [--only phoneme]

overhead  one worker: the time that is not training, a trial, next to the time of training
jobs      the same trials with one worker process and with two, on two cores
peers     next to an Optuna search over scikit-learn's MLPClassifier as one writes it by hand: the same split, one
          process each at the same time, equal wall time; log-loss (nats) of the best on validation and test rows
grid      next to a grid over the same four parameters and as many epochs; draws docs/search-grid.svg
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from models.repository import ModelRepository
from trainer.job.job import prepare
from trainer.report.svg import drawing, element, line, path, text
from trainer.search.crew import run_workers
from trainer.search.finish import publish
from trainer.search.place import Place
from trainer.search.plan import Trials
from trainer.search.rows import share
from trainer.search.search import Request, open_search
from trainer.search.space import Range
from trainer.search.worker import Order, run_trials
from trainer.settings.config import TrainingConfig

TARGETS = {
    "phoneme": ("Class", ()),
    "telco_churn": ("Churn", ("customerID",)),
    "optdigits": ("class", ()),
    "eeg_eye_state": ("Class", ()),
    "adult": ("income", ()),
}
GRID = """\
learning_rate = { choice = [0.0001, 0.001, 0.01, 0.1, 1.0] }
units = { choice = [16, 64, 256] }
weight_decay = { choice = [0.00001, 0.001, 0.1] }
batch_size = { choice = [32, 256] }
layers = { choice = [2] }
"""
RANDOM = """\
learning_rate = { log = [0.0001, 1.0] }
units = { uniform = [16, 256] }
weight_decay = { log = [0.00001, 0.1] }
batch_size = { choice = [32, 64, 128, 256] }
layers = { choice = [2] }
"""


def request_on(name: str, data: Path, folder: Path, trials: int, jobs: int, **changes: Any) -> Request:
    target, drop = TARGETS[name]
    (table,) = (data / name).glob(f"{name}.csv*")
    given = {"table": table, "target": target, "drop": drop, "name": name, **changes.pop("given", {})}
    return Request(given, Place(name, folder), trials, jobs, **changes)


def overhead(data: Path, names: list[str]) -> None:
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            request = request_on(name, data, Path(folder), 40, 1)
            with open_search(request) as search, request.place.folder_of_rows() as rows:
                order = Order.of(search, share(search.table, search.config, search.plan.box, rows))
                start = time.perf_counter()
                run_trials(order)
                whole = time.perf_counter() - start
                training = sum(trial.seconds for trial in search.finished().values())
        beside = whole - training
        print(
            f"{name:14}  {training / 40:7.3f} s of training a trial, {1000 * beside / 40:6.1f} ms beside it: "
            f"{beside / training:.2%}"
        )


def jobs(data: Path, names: list[str]) -> None:
    for name in names:
        times, busy, finished = [], [], []
        for count in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                request = request_on(name, data, Path(folder), 60, count)
                with open_search(request) as search:
                    start = time.perf_counter()
                    run_workers(search, lambda trials, total: None)
                    times.append(time.perf_counter() - start)
                    training = sum(trial.seconds for trial in search.finished().values())
                    busy.append(training / count / times[-1])
                    finished.append([replace(trial, seconds=0, worker="") for trial in search.finished().values()])
        same = "the same results" if finished[0] == finished[1] else "OTHER RESULTS"
        print(
            f"{name:14}  1 job {times[0]:6.1f} s, 2 jobs {times[1]:6.1f} s: {times[0] / times[1]:.2f} times as fast, "
            f"workers busy {busy[0]:.0%} and {busy[1]:.0%} of it, {same}"
        )


def peers(data: Path, names: list[str], seconds: float) -> None:
    for name in names:
        command = [sys.executable, __file__, "--data", str(data), "--only", name, "--seconds", str(seconds)]
        both = [
            subprocess.Popen([*command[:2], side, *command[2:]], stdout=subprocess.PIPE, text=True)
            for side in ("ours", "theirs")
        ]
        ours, theirs = (json.loads(process.communicate()[0].splitlines()[-1]) for process in both)
        print(f"{name:14}  ours {_row(ours)}   theirs {_row(theirs)}", flush=True)


def _row(result: dict[str, float]) -> str:
    return f"validation {result['validation']:.4f} test {result['test']:.4f} ({result['trials']} trials)"


def ours(data: Path, name: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        request = request_on(name, data, Path(folder) / "study", 1000, 1, stage=15, time_limit_s=seconds)
        with open_search(request) as search:
            run_workers(search, lambda trials, total: None)
            outcome = publish(search, ModelRepository(Path(folder) / "store"), seeds=1)
            assert outcome
            assert outcome.card.search
            # Of the best trial, one network, on the very rows that the other search chooses by; the test rows answer to
            # what is published, calibrated and, on small tables, a bag.
            result = {
                "validation": outcome.card.search.validation_log_loss,
                "test": outcome.card.metrics["test"].log_loss,
                "trials": len(search.finished()),
            }
            print(json.dumps(result))


def theirs(data: Path, name: str, seconds: float) -> None:
    """The search as a tutorial would write it."""
    import warnings

    import optuna
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.metrics import log_loss
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    request = request_on(name, data, Path(), 1, 1)
    _, start = prepare(TrainingConfig.of(**request.given))
    examples, fold = start.examples, start.split.folds[0]
    numbers, texts = examples.rows.numeric, examples.rows.texts()
    columns = np.concatenate([numbers.astype(object), texts], axis=1)
    count = numbers.shape[1]
    classes = np.arange(len(examples.classes))
    best: list[tuple[float, Pipeline]] = []

    def objective(trial: optuna.Trial) -> float:
        preparation = make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), list(range(count))),
            (OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(range(count, columns.shape[1]))),
        )
        layers = trial.suggest_int("layers", 1, 3)
        network = MLPClassifier(
            tuple(trial.suggest_int(f"units{layer}", 16, 256) for layer in range(layers)),
            activation=trial.suggest_categorical("activation", ["relu", "tanh"]),
            alpha=trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
            learning_rate_init=trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            batch_size=trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
            early_stopping=True,
            max_iter=100,
            random_state=0,
        )
        model = make_pipeline(preparation, network).fit(columns[fold.train], examples.labels[fold.train])
        loss = log_loss(examples.labels[fold.validation], model.predict_proba(columns[fold.validation]), labels=classes)
        if not best or loss < best[0][0]:
            best[:] = [(loss, model)]
        return float(loss)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, timeout=seconds)
    validation, model = best[0]
    test = start.split.test
    loss = log_loss(examples.labels[test], model.predict_proba(columns[test]), labels=classes)
    print(json.dumps({"validation": validation, "test": loss, "trials": len(study.trials)}))


def grid(data: Path, names: list[str]) -> None:
    """Both have the epochs of 90 whole trials; the search stops weak ones, and has more of them."""
    panels = []
    for name in names:
        curves = {}
        for kind, lines in (("grid", GRID), ("random", RANDOM)):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "space.toml"
                file.write_text(lines)
                fixed = {"epochs": 30, "dropout": 0.0, "input_dropout": 0.0, "periodic": 0.0, "activation": "relu"}
                fixed |= {"batch_norm": "before", "optimizer": "adamw", "beta1": 0.9, "beta2": 0.999, "ewma_decay": 0.9}
                request = request_on(
                    name, data, Path(folder) / "study", 250, 2, given=fixed, space_file=file, sampler=kind, stage=20
                )
                with open_search(request) as search:
                    run_workers(search, lambda trials, total: None)
                    curves[kind] = _best_by_epochs(search.finished())
        spent = curves["grid"][-1][0]
        curves["random"] = [point for point in curves["random"] if point[0] <= spent]
        panels.append((name, curves))
        ends = {kind: curve[-1][1] for kind, curve in curves.items()}
        print(f"{name:14}  {spent} epochs: grid {ends['grid']:.4f}, coarse to fine {ends['random']:.4f}", flush=True)
    Path("docs/search-grid.svg").write_text(_plot(panels))


def _best_by_epochs(trials: Trials) -> list[tuple[int, float]]:
    """How many epochs were spent after each trial, and the best log-loss by then."""
    spent, best, points = 0, float("inf"), []
    for trial in trials.values():
        spent += len(trial.log_losses)
        best = min(best, trial.log_loss if trial.ending != "stopped" else float("inf"))
        points.append((spent, best))
    return points


STYLE = (
    "svg{font:12px system-ui,sans-serif;background:#fff}text{fill:#333}.grid{stroke:#ddd}.name{font-weight:600}"
    ".g{fill:none;stroke:#9aa3ad;stroke-width:2}.r{fill:none;stroke:#d9480f;stroke-width:2}"
)


def _plot(panels: list[tuple[str, dict[str, list[tuple[int, float]]]]]) -> str:
    width, height, left = 310.0, 260.0, 52.0
    parts = [element("style", STYLE)]
    for number, (name, curves) in enumerate(panels):
        origin = number * width
        losses = [loss for curve in curves.values() for _, loss in curve if np.isfinite(loss)]
        scale = Range("log", min(losses) / 1.02, min(max(losses), 2 * min(losses)) * 1.02)
        most = curves["grid"][-1][0]

        def place(point: tuple[int, float], origin: float = origin, scale: Range = scale, most: int = most) -> Any:
            share = scale.place(min(point[1], scale.high))
            return origin + left + point[0] / most * (width - left - 14), 34 + (1 - share) * (height - 74)

        parts.append(text(name, origin + left, 20, "name"))
        for _, label in scale.ticks():
            _, y = place((0, float(label)))
            parts += [
                line(origin + left, y, origin + width - 14, y, "grid"),
                text(label, origin + left - 6, y + 4, "", "end"),
            ]
        parts += [
            path([place(point) for point in curve if np.isfinite(point[1])], kind[0]) for kind, curve in curves.items()
        ]
        parts.append(text(f"{most} epochs", origin + width - 14, height - 22, "", "end"))
    parts.append(text("best so far: grid (grey), coarse to fine (orange)", left, height - 4))
    label = "Grid against coarse to fine"
    return drawing(width * len(panels), height, parts, label).replace(
        "<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["overhead", "jobs", "peers", "grid", "ours", "theirs"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", nargs="*", choices=TARGETS)
    options = parser.parse_args()
    names = options.only or list(TARGETS)
    match options.what:
        case "overhead":
            overhead(options.data, names)
        case "jobs":
            jobs(options.data, names)
        case "peers":
            peers(options.data, names, options.seconds)
        case "grid":
            grid(options.data, names[:3])
        case "ours":
            ours(options.data, names[0], options.seconds)
        case "theirs":
            theirs(options.data, names[0], options.seconds)


if __name__ == "__main__":
    main()
