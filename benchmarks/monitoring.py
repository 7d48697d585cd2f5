"""What it costs to know of the answers: drift with expected accuracy, feedback and the prediction log, on and off.

PYTHONPATH=. python benchmarks/monitoring.py [--rounds 100]

The model is what `fit` gives for examples/penguins.csv. Requests go through the application in this process, by turns
in random order, some hundred at a time; the time is that of the processor, of all threads, until all is written. Cells:
what a row takes more than with everything off, median of the rounds; "off, again" shows the noise.
"""

import argparse
import io
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.telemetry.board import Board
from service.telemetry.journal import Journal, LogRules
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

TABLE = Path(__file__).parents[1] / "examples/penguins.csv"
# Rows in a request, and requests in a turn.
TURNS = {1: 512, 32: 64, 1000: 4}
REMEMBERED = 10_000


class Counted:
    """How many lines of the prediction log are written."""

    lines = 0

    def count(self, what: dict[str, int]) -> None:
        self.lines += sum(what.values())


def apps(registry: Registry, folder: Path, counted: Counted) -> dict[str, Flask]:
    """An application for each thing that may be on."""

    def app(*, drift: bool = False, rows: int = 0, journal: Journal | None = None) -> Flask:
        seconds = 3600.0 if drift else 0.0
        return create_app(registry, Bounds(), Board.create(1, rows), drift_seconds=seconds, journal=journal)

    def log() -> Journal:
        return Journal(LogRules(Path(tempfile.mkdtemp(dir=folder))), counted.count)  # type: ignore[arg-type]

    return {
        "off": app(),
        "off, again": app(),
        "drift and expected accuracy": app(drift=True),
        "feedback": app(rows=REMEMBERED),
        "both, as by default": app(drift=True, rows=REMEMBERED),
        "log": app(journal=log()),
        "all": app(drift=True, rows=REMEMBERED, journal=log()),
    }


def turn(app: Flask, body: bytes, requests: int, written: Callable[[], bool]) -> float:
    """Microseconds of processor time that a request takes."""
    began = time.process_time()
    for _ in range(requests):
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/predict",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        app.wsgi_app(environ, _started)
    while not written():
        time.sleep(0.01)
    return (time.process_time() - began) / requests * 1e6


def _started(*_: Any) -> Callable[[bytes], object]:
    return lambda _: None


@contextmanager
def registry() -> Iterator[tuple[Registry, Path]]:
    """A registry of the one model, and a folder for the logs."""
    with tempfile.TemporaryDirectory() as folder:
        store = ModelRepository(Path(folder) / "store")
        run(TrainingConfig(table=TABLE, target="species", name="penguins"), store, with_report=False)
        found = Registry(store)
        found.refresh()
        yield found, Path(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    with registry() as (found, folder):
        counted = Counted()
        ways = apps(found, folder, counted)
        record = dict(found.predictor("penguins").card.golden[0].instance)
        costs: dict[str, list[str]] = {way: [] for way in ways}
        for rows, requests in TURNS.items():
            body = json.dumps({"instances": [record] * rows} if rows > 1 else {"instance": record}).encode()
            took: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way in random.sample(list(ways), len(ways)):
                    logged = way in ("log", "all")
                    wanted = counted.lines + rows * requests * logged
                    took[way].append(turn(ways[way], body, requests, lambda wanted=wanted: counted.lines >= wanted))  # type: ignore[misc]
            for way in ways:
                more = statistics.median(one - off for one, off in zip(took[way], took["off"], strict=True)) / rows
                costs[way].append(f"{statistics.median(took['off']) / rows:.1f}" if way == "off" else f"{more:+.2f}")
        print(f"| µs of processor a row | {' | '.join(f'{rows} in a request' for rows in TURNS)} |")
        print(f"|---|{'---|' * len(TURNS)}")
        for way, cells in costs.items():
            print(f"| {way} | {' | '.join(cells)} |")


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
