"""How long a person waits: for the example to train, for the service to be ready, for a fresh clone to answer.

python benchmarks/startup.py            training, start of the service, accuracy over ten seeds
python benchmarks/startup.py --clone    a fresh clone with an empty home until its first answer, installation included
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
FIT = [sys.executable, "-m", "trainer", "fit", "examples/penguins.csv", "--target", "species", "--name", "penguins"]
LIMIT_S = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clone", action="store_true")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.clone:
            time_clone(Path(folder))
        else:
            time_training(Path(folder), options.runs)
            time_start(Path(folder), options.runs)
            measure_accuracy(Path(folder))


def time_training(folder: Path, runs: int) -> None:
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        fit(folder)
        seconds.append(time.perf_counter() - started)
    report("training the example, whole process", seconds)


def time_start(folder: Path, runs: int) -> None:
    seconds = []
    for _ in range(runs):
        port = free_port()
        started = time.perf_counter()
        environment = {"EVENKEEL_REPOSITORY": str(folder), "EVENKEEL_PORT": str(port), "EVENKEEL_WORKERS": "1"}
        with process([sys.executable, "-m", "service"], ROOT, environment):
            wait_until_ready(port)
            seconds.append(time.perf_counter() - started)
    report("start of the service until ready", seconds)


def measure_accuracy(folder: Path) -> None:
    accuracies = []
    for seed in range(10):
        fit(folder, "--seed", str(seed))
        newest = max((folder / "penguins").iterdir(), key=lambda version: int(version.name))
        accuracies.append(json.loads((newest / "card.json").read_text())["metrics"]["test"]["accuracy"])
    print(f"test accuracy over ten seeds: worst {min(accuracies):.4f}, mean {statistics.mean(accuracies):.4f}")


def time_clone(folder: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--no-local", ROOT, folder / "clone"], check=True)
    (folder / "home").mkdir()
    for state in ("nothing installed", "installed", "installed, model published"):
        port = free_port()
        started = time.perf_counter()
        with process(["scripts/demo"], folder / "clone", {"HOME": str(folder / "home"), "EVENKEEL_PORT": str(port)}):
            wait_until_ready(port)
            print(f"scripts/demo until ready, {state}: {time.perf_counter() - started:.1f} s")
        if state == "nothing installed":
            shutil.rmtree(folder / "clone/models/store")


def fit(folder: Path, *flags: str) -> None:
    command = [*FIT, "--repository", str(folder), *flags]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextmanager
def process(command: list[str], folder: Path, settings: dict[str, str]) -> Iterator[None]:
    """Run a command until the block is left, then stop everything that it started."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | settings
    quiet = subprocess.DEVNULL
    running = subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(30)


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=1).close()
        except OSError:
            time.sleep(0.005)
        else:
            return
    raise TimeoutError(f"nothing is ready after {LIMIT_S} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def report(what: str, seconds: list[float]) -> None:
    print(f"{what}: median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {len(seconds)}")


if __name__ == "__main__":
    main()
