"""How much sooner `fit` is done when it trains candidates and the members of a bag at the same time.

PYTHONPATH=. python benchmarks/jobs.py --data ../shared/data [--only adult letter] [--rounds 3] [--jobs 1 2]

Every fit is a process of its own, with the defaults and the same seed; numbers of jobs take turns, on as many cores as
the largest of them. Seconds of the clock, the least of the rounds: candidates and bag, encoding included; its student;
the whole fit, from reading the table to the published version. All fits of a table give the same bytes.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from models.repository import ModelRepository
from trainer.job.job import prepare, run
from trainer.settings.config import TrainingConfig

TARGETS = {
    "adult": ("income", ()),
    "letter": ("class", ()),
    "eeg_eye_state": ("Class", ()),
    "telco_churn": ("Churn", ("customerID",)),
    "optdigits": ("class", ()),
    "phoneme": ("Class", ()),
}


def one(name: str, data: Path, jobs: int) -> dict[str, float | str]:
    """Fit once, in this process and those that it starts."""
    target, drop = TARGETS[name]
    (table,) = (data / name).glob(f"{name}.csv*")
    config = TrainingConfig.of(table=table, target=target, drop=drop, name=name)
    began = time.perf_counter()
    prepare(config)
    reading = time.perf_counter() - began
    ended: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run(
            config,
            ModelRepository(Path(folder)),
            ended=lambda member, members: ended.append(time.perf_counter() - began),
            jobs=jobs,
        )
        whole = time.perf_counter() - began
        digest = hashlib.sha256(ModelRepository(Path(folder)).read(name, 1).onnx).hexdigest()
    bag = ended[-2]
    return {"bag": bag - reading, "student": ended[-1] - bag, "whole": whole, "digest": digest}


def compare(name: str, data: Path, counts: list[int], rounds: int) -> None:
    """Fit in turn with each number of jobs, and print the least times."""
    found: dict[int, list[dict[str, float | str]]] = {jobs: [] for jobs in counts}
    for _ in range(rounds):
        for jobs in counts:
            command = [sys.executable, __file__, "--data", str(data), "--one", name, "--jobs", str(jobs)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[jobs].append(json.loads(done.stdout))
    assert len({str(each["digest"]) for all_of in found.values() for each in all_of}) == 1, "the answers differ"
    for jobs, all_of in found.items():
        least = {what: min(float(each[what]) for each in all_of) for what in ("bag", "student", "whole")}
        first = {what: min(float(each[what]) for each in found[counts[0]]) for what in ("bag", "whole")}
        print(
            f"{name:16}{jobs:6}{least['bag']:10.1f}{least['student']:10.1f}{least['whole']:10.1f}"
            f"{first['bag'] / least['bag']:12.2f}{first['whole'] / least['whole']:12.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=TARGETS, default=["adult", "letter", "eeg_eye_state"])
    parser.add_argument("--jobs", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", choices=TARGETS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options.one, options.data, options.jobs[0])))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: max(options.jobs)])
    print(f"{'':16}{'jobs':>6}{'bag, s':>10}{'student':>10}{'whole':>10}{'x, bag':>12}{'x, whole':>12}")
    for name in options.only:
        compare(name, options.data, options.jobs, options.rounds)


if __name__ == "__main__":
    main()
