"""How fast `evenkeel.Client` is: a pandas frame of 100 000 rows, against curl that posts the same batches.

The client reads the frame, writes the tensors and makes a frame of the answers; curl has the tensors in files, and
throws the answers away. Both use one connection to one worker, in turn; the ratio is the median of those of the rounds.

PYTHONPATH=. python benchmarks/client.py --data ../shared/data
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import numpy.typing as npt
import pandas as pd

import evenkeel
from evenkeel.client import remote
from evenkeel.tables.given import FRAME
from evenkeel.tables.rows import RowReader
from models.card import ModelCard
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running
from trainer.data.frames import frame_blocks
from trainer.data.stated import stated_schema

Times = npt.NDArray[np.float64]
TABLES = {"penguins": ("penguins/penguins.csv", "species"), "adult": ("adult/adult.csv.gz", "income")}


def publish(store: Path, data: Path, epochs: int) -> None:
    """What `fit` publishes by default, but for how long it has learned."""
    for name, (path, target) in TABLES.items():
        fit = ["fit", str(data / path), "--target", target, "--name", name, "--epochs", str(epochs)]
        subprocess.run([sys.executable, "-m", "evenkeel", *fit, "--repository", str(store), "--quiet"], check=True)


def curl(url: str, frame: pd.DataFrame, card: ModelCard, folder: Path) -> list[str]:
    """A command of curl that posts the batches of the client, one after the other."""
    words = ["curl", "--silent", "--fail-early"]
    reader = RowReader(card, stated_schema(card))
    for block in frame_blocks(frame, FRAME).blocks:
        tensors = reader.read(block).tensors
        for start in range(0, len(block), remote.MOST_ROWS):
            head, body = remote.batch(tensors, start, remote.MOST_ROWS)
            file = folder / str(len(words))
            file.write_bytes(body)
            header = f"{remote.HEADER_LENGTH}: {head}"
            asked = [
                "--fail",
                "--output",
                "/dev/null",
                "--header",
                header,
                "--header",
                "Expect:",
                "--header",
                "Content-Type:",
            ]
            where = f"{url}/v2/models/{card.name}/versions/1/infer"
            words += [*asked, "--data-binary", f"@{file}", where, "--next", "--silent"]
    return words[:-2]


def rounds(client: evenkeel.Client, frame: pd.DataFrame, words: list[str], count: int) -> Times:
    """Seconds of curl and of the client (rounds, 2)."""
    times = np.empty((count, 2))
    for one in times:
        started = time.perf_counter()
        subprocess.run(words, check=True)
        turned = time.perf_counter()
        client.predict_proba(frame)
        one[:] = turned - started, time.perf_counter() - turned
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, "store")
        publish(store, options.data, options.epochs)
        with running(store, find_free_port()) as service:
            service.wait()
            for name, (path, _) in TABLES.items():
                table = pd.read_csv(options.data / path)
                frame = pd.concat([table] * (options.rows // len(table) + 1), ignore_index=True)[: options.rows]
                words = curl(service.url, frame, ModelRepository(store).card(name, 1), Path(folder))
                with evenkeel.Client(service.url, model=name) as client:
                    client.predict_proba(frame)
                    times = rounds(client, frame, words, options.rounds)
                theirs, ours = options.rows / np.median(times, axis=0)
                ratio = np.median(times[:, 0] / times[:, 1])
                print(f"{name}: curl {theirs:.0f} rows/s, the client {ours:.0f}: {ratio:.2f} of it")


if __name__ == "__main__":
    main()
