"""A table that is larger than `--memory` against the same one in memory: rows a second, peak memory, log-loss.

One thread, and rows a second of its processor time: other processes take nothing from these figures.

PYTHONPATH=. python benchmarks/long.py --rows 5000000
PYTHONPATH=. python benchmarks/long.py --table ../shared/data/skin_segmentation/skin_segmentation.csv.gz --target class
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from models.repository import ModelRepository
from trainer.fitting.parallel import ONE_THREAD
from trainer.job import job
from trainer.settings.config import TrainingConfig
from trainer.training.fit import fit

GROUP, MIB = 250_000, 2**20
NUMBERS = 17


def generate(path: Path, rows: int) -> None:
    """Numbers, three columns of texts, and a class that follows from some of them; a row group at a time."""
    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, rows, GROUP):
        count = min(GROUP, rows - start)
        numbers = rng.normal(size=(count, NUMBERS)).astype(np.float32)
        texts = rng.integers(0, (4, 30, 900), size=(count, 3))
        score = numbers[:, 0] * numbers[:, 1] + numbers[:, 2] + (texts[:, 0] == 1) + rng.normal(size=count)
        columns: dict[str, Any] = {f"x{number}": numbers[:, number] for number in range(NUMBERS)}
        columns |= {f"t{number}": np.char.add("text ", texts[:, number].astype(str)) for number in range(3)}
        batch = pa.table(columns | {"y": np.where(score > 0, "yes", "no")})
        writer = writer or parquet.ParquetWriter(path, batch.schema)
        writer.write_table(batch)
    assert writer is not None
    writer.close()


class Peak(threading.Thread):
    """The most memory of its own, mapped files not counted, that this process has had, in MiB; looked at often."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0
        self.start()

    def run(self) -> None:
        while True:
            status = Path("/proc/self/status").read_text()
            self.most = max(self.most, int(status.split("RssAnon:")[1].split()[0]) / 1024)
            time.sleep(0.01)


def measure(settings: dict[str, Any]) -> None:
    """Train and publish in this process; print what it took as JSON."""
    peak, begun = Peak(), time.perf_counter()
    base, spent, rows = peak.most, [], []

    def timed(network: Any, train: Any, *rest: Any, **how: Any) -> Any:
        started = time.process_time()
        history = fit(network, train, *rest, **how)
        spent.append(time.process_time() - started)
        rows.append(len(train) * len(history.epochs))
        return history

    with tempfile.TemporaryDirectory() as store:
        outcome = job.run(TrainingConfig.of(**settings), ModelRepository(Path(store)), train=timed)
    test = outcome.card.metrics["test"]
    seconds = time.perf_counter() - begun
    measured = {"seconds": seconds, "trained": sum(spent), "rows": sum(rows), "peak": peak.most, "base": base}
    print(json.dumps(measured | {"log_loss": test.log_loss, "accuracy": test.accuracy}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--target", default="y")
    parser.add_argument("--split-by", help="a column that names the parts, for both to have the same")
    parser.add_argument("--memory", default="512m")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--members", type=int)
    parser.add_argument("--only", choices=("blocks", "memory"))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(json.loads(options.one))
        return
    with tempfile.TemporaryDirectory() as folder:
        table = options.table or Path(folder) / "generated.parquet"
        if not options.table:
            generate(table, options.rows)
        print(f"{table.name}: {table.stat().st_size / MIB:.0f} MiB")
        for seed in range(options.seeds):
            for how, memory in (("blocks", options.memory), ("memory", "1t")):
                if options.only not in (None, how):
                    continue
                settings = {"table": str(table), "target": options.target, "name": "m", "memory": memory}
                settings |= {"epochs": options.epochs, "seed": seed, "members": options.members, "warm_up": 0}
                settings["split_by"] = options.split_by
                command = [sys.executable, __file__, "--one", json.dumps(settings)]
                run = json.loads(subprocess.check_output(command, env=os.environ | ONE_THREAD).splitlines()[-1])
                print(
                    f"--memory {memory}, seed {seed}: {run['seconds']:.0f} s; training took "
                    f"{run['trained']:.0f} s of processor time, "
                    f"{run['rows'] / run['trained']:,.0f} rows/s; peak {run['peak']:.0f} MiB of its own; "
                    f"log-loss {run['log_loss']:.4f}, accuracy {run['accuracy']:.4f}"
                )


if __name__ == "__main__":
    main()
