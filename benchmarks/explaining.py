"""How long an explanation takes, by the service's own code, of models that `fit` gives by default: goals of issue 16.

PYTHONPATH=. python benchmarks/explaining.py --data ../shared/data [--store FOLDER]

Rows of each table against the typical row, and against rows that differ from them in as many features as can be found.
A folder keeps the models for another time.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

from evenkeel.scoring.row import record_of
from models.repository import ModelRepository
from service.prediction.explain import Explainer, Reference
from service.prediction.predictor import Predictor
from service.rows.tensors import Tensors

ROOT = Path(__file__).parents[1]
GOALS = {"penguins": 20, "adult": 60}
ROWS, TIMES = 30, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    tables = {
        "penguins": (ROOT / "examples/penguins.csv", "species"),
        "adult": (options.data / "adult/adult.csv.gz", "income"),
    }
    with tempfile.TemporaryDirectory() as folder:
        repository = ModelRepository(options.store or Path(folder))
        for name, (table, target) in tables.items():
            if not repository.versions(name):
                fit = [sys.executable, "-m", "evenkeel", "fit", str(table), "--target", target, "--name", name]
                subprocess.run([*fit, "--repository", str(repository.root), "--quiet"], check=True)
            measure(name, table, Predictor(repository.read(name, repository.versions(name)[-1])))


def measure(name: str, table: Path, predictor: Predictor) -> None:
    features = len(predictor.card.features)
    print(f"{name}, {features} features, {len(predictor.card.frozen_statistics)} networks; goal {GOALS[name]} ms")
    rows = predictor.rows.read([record_of(table, 1 + 11 * row, predictor.card) for row in range(ROWS)]).tensors
    alone = [{kind: tensor[row : row + 1] for kind, tensor in rows.items()} for row in range(ROWS)]
    report("  typical", predictor, [(row, predictor.references["typical"]) for row in alone])
    pairs = sorted(product(alone, alone), key=lambda pair: -different(*pair))
    report("  farthest", predictor, pairs[:ROWS])


def different(one: Tensors, other: Tensors) -> int:
    return sum(int((one[kind] != other[kind]).sum()) for kind in one)


def report(what: str, predictor: Predictor, pairs: list[tuple[Tensors, Tensors]]) -> None:
    """Seconds by the clock and of the processor, each row at its best of a few times."""
    taken, errors, players = [], [0.0], []
    for row, reference in pairs:
        answer = predictor.predict(row)
        times = []
        for _ in range(TIMES):
            before = time.perf_counter(), time.thread_time()
            (found,) = Explainer(predictor, row, Reference("given", reference)).explain(answer)
            times.append((time.perf_counter() - before[0], time.thread_time() - before[1]))
        taken.append([1000 * min(each) for each in zip(*times, strict=True)])
        players.append(different(row, reference))
        if found.errors is not None:
            errors.append(float(found.errors.max()))
    print(f"{what}: {len(pairs)} rows, of which {min(players)} to {max(players)} features differ")
    for clock, each in zip(("clock", "processor"), zip(*taken, strict=True), strict=True):
        print(f"    {clock}: median {statistics.median(each):.1f} ms, worst {max(each):.1f} ms")
    print(f"    {len(errors) - 1} sampled, largest standard error {max(errors):.4f}")


if __name__ == "__main__":
    main()
