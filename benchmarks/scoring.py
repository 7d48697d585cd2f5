"""How fast a file is scored: `evenkeel predict` against onnxruntime alone on the same rows, already in memory.

A table is repeated until it has so many rows; both run in one process, one after the other, again and again, on the
model of `evenkeel fit` with its defaults and on one of a single small network. The memory is that of the command in a
process of its own, for the file and for one ten times as long.

PYTHONPATH=. python benchmarks/scoring.py --data ../shared/data
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from evenkeel import command_line
from evenkeel.scoring.local import LocalModel
from evenkeel.tables.rows import RowReader
from models.repository import ModelRepository
from trainer.data.blocks import open_blocks
from trainer.data.stated import stated_schema

TABLES = {
    "penguins": ("penguins/penguins.csv", "species"),
    "telco_churn": ("telco_churn/telco_churn.csv", "Churn"),
    "adult": ("adult/adult.csv.gz", "income"),
}
SMALL = ("--members", "1", "--hidden", "16")
TIMES_AS_LONG = 10


def run(*arguments: str | Path) -> None:
    code = command_line.main([str(one) for one in arguments])
    assert code == 0, arguments


def repeated(table: Path, rows: int, into: Path) -> None:
    """Write the rows of a table again and again, until there are so many."""
    data = table.read_bytes()
    header, *lines = (gzip.decompress(data) if table.suffix == ".gz" else data).decode().splitlines()
    with into.open("w") as file:
        file.write(f"{header}\n")
        for start in range(0, rows, len(lines)):
            file.write("\n".join(lines[: rows - start]) + "\n")


def onnxruntime_alone(store: Path, table: Path) -> float:
    """Rows a second."""
    repository = ModelRepository(store)
    model = LocalModel(repository.read("m", 1))
    reader = RowReader(model.card, stated_schema(model.card))
    with open_blocks(table, stated_schema(model.card).file) as blocks:
        tensors = [reader.read(block).tensors for block in blocks.blocks]
    started = time.perf_counter()
    rows = sum(len(model.answer(some)[0]) for some in tensors)
    return rows / (time.perf_counter() - started)


def peak(arguments: Sequence[str | Path]) -> float:
    """The largest memory of a command in a process of its own, in MiB."""
    # Not getrusage: there a process begins with what its parent had.
    code = (
        "import sys; from evenkeel.command_line import main; assert main(sys.argv[1:]) == 0; "
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    printed = subprocess.check_output([sys.executable, "-c", code, *map(str, arguments)], stderr=subprocess.DEVNULL)
    return int(printed) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    for name, (path, target) in TABLES.items():
        for network, flags in (("default", ()), ("small", SMALL)):
            with tempfile.TemporaryDirectory() as folder:
                where, source = Path(folder), options.data / path
                store, table, output = where / "store", where / "t.csv", where / "out.csv"
                fit = ("fit", source, "--target", target, "--name", "m", "--repository", store, "--quiet")
                run(*fit, "--epochs", options.epochs, *flags)
                repeated(source, options.rows, table)
                command = ("predict", table, "--repository", store, "-o", output)
                ours, theirs = [], []
                for _ in range(options.runs):
                    theirs.append(onnxruntime_alone(store, table))
                    started = time.perf_counter()
                    run(*command)
                    ours.append(options.rows / (time.perf_counter() - started))
                ratio = float(np.median(np.array(ours) / np.array(theirs)))
                short = peak(command)
                repeated(source, TIMES_AS_LONG * options.rows, table)
                print(
                    f"{name}, {network} network: {np.median(ours):.0f} rows/s, onnxruntime alone "
                    f"{np.median(theirs):.0f}: {ratio:.2f} of it; peak {short:.0f} MiB, {peak(command):.0f} MiB for a "
                    f"file {TIMES_AS_LONG} times as long",
                    flush=True,
                )


if __name__ == "__main__":
    main()
