"""How long reading a large table takes, and how much memory: mnist as CSV and kddcup99, each in a process of its own.

PYTHONPATH=. python benchmarks/reading.py --data ../shared/data
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pyarrow import csv

from trainer.data.table import read_table

MIB = 2**20


def write_mnist(folder: Path, path: Path) -> None:
    """All 70 000 digits as CSV: a label and 784 pixels a row."""
    digits = []
    for part in ("train", "t10k"):
        images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
        labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
        pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 784)
        digits.append(np.column_stack([np.frombuffer(labels, np.uint8, offset=8), pixels]))
    header = ",".join(["label", *(f"pixel{number}" for number in range(784))])
    np.savetxt(path, np.concatenate(digits), fmt="%d", delimiter=",", header=header, comments="")


def peak() -> float:
    """The largest memory of this process so far, in MiB."""
    # Not getrusage: there a process begins with what its parent had.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(path: Path, target: str) -> None:
    """Read and split a table; print seconds and MiB as JSON."""
    base = peak()
    started, worked = time.perf_counter(), time.process_time()
    table = read_table(path, target)
    seconds, work = time.perf_counter() - started, time.process_time() - worked
    table.split(0.2, 0.2, np.random.default_rng(0))
    measured = {"seconds": seconds, "work": work, "base": base, "peak": peak()}
    print(json.dumps(measured | {"arrow": csv.read_csv(path).nbytes / MIB}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(Path(options.one[0]), options.one[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        mnist = Path(folder) / "mnist.csv"
        write_mnist(options.data / "mnist", mnist)
        for path, target in ((mnist, "label"), (options.data / "kddcup99/kddcup99.csv.gz", "label")):
            command = [sys.executable, __file__, "--one", str(path), target]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(options.runs)]
            middle = {name: float(np.median([run[name] for run in runs])) for name in runs[0]}
            worst = max(run["seconds"] for run in runs)
            print(
                f"{path.name}: {middle['seconds']:.2f} s, worst of {len(runs)} {worst:.2f} s, "
                f"{middle['work']:.2f} s of processor time; peak {middle['peak']:.0f} MiB, {middle['base']:.0f} MiB "
                f"of it before reading; Arrow's table has {middle['arrow']:.0f} MiB"
            )


if __name__ == "__main__":
    main()
