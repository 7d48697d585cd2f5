"""A long time under load: right and wrong requests, new versions, killed workers; every answer is compared.

PYTHONPATH=. python benchmarks/soak.py --predictions 1000000 --errors 100000 --swaps 2000 --kills 200

A service of two workers is asked by several connections. First versions are published, rolled back and promoted, then
workers are killed; each part ends when its share of everything is done. A 200 must be the golden answer of the version
it names, a refusal of the expected code, and a connection may only be reset when its own worker was killed. Memory,
descriptors, threads, metrics and files of the workers must stay level. Exit code 1 where any of that is broken.
"""

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.soak_client import BODY_LIMIT, Recorder, offences, predictions, refusals, until
from benchmarks.soak_vitals import Vitals, growth_mb, level, listeners, ports_of_clients, series, vitals, workers_of
from models.repository import ModelRepository, PublishedModel
from service.registry.registry import Registry
from tests.conftest import find_free_port
from trainer.job.job import run
from trainer.settings.config import TrainingConfig

ROOT = Path(__file__).parents[1]
NAME = "penguins"
WORKERS = 2
CONNECTIONS = 8
KEPT_VERSIONS = 6
PATIENCE_S = 30.0
# Longer than a worker takes to be replaced.
KILL_EVERY_S = 3.5


@dataclass(frozen=True)
class Plan:
    """How much of everything. `code` is the folder that the service is started in."""

    predictions: int
    errors: int
    swaps: int
    kills: int
    code: Path = ROOT


@dataclass
class Report:
    """What was found: figures by name, and what was broken."""

    figures: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def soak(plan: Plan, folder: Path) -> Report:
    """Start a service on a repository in `folder`, and do all that is planned."""
    builds = [_build(folder / f"build-{seed}", seed) for seed in range(2)]
    registries = []
    for build in builds:
        registries.append(Registry(build))
        registries[-1].refresh()
    recorder = Recorder(predictions(registries), refusals(NAME), plan.errors / (plan.predictions + plan.errors))
    store = ModelRepository(folder / "store")
    models = [build.read(NAME, 1) for build in builds]
    _publish(store, models)
    port = find_free_port()
    (folder / "tmp").mkdir()
    settings = {"REPOSITORY": str(store.root), "PORT": str(port), "WORKERS": str(WORKERS)}
    settings |= {"POLL_SECONDS": "0.05", "MAX_BODY_BYTES": str(BODY_LIMIT), "LOG_LEVEL": "error"}
    environment = {f"EVENKEEL_{name}": value for name, value in settings.items()} | {"TMPDIR": str(folder / "tmp")}
    with subprocess.Popen([sys.executable, "-m", "service"], cwd=plan.code, env=os.environ | environment) as service:
        try:
            return asyncio.run(Soak(plan, recorder, store, models, service.pid, port, folder / "tmp").run())
        finally:
            service.terminate()


@dataclass
class Soak:
    """One run against one service."""

    plan: Plan
    recorder: Recorder
    store: ModelRepository
    models: list[PublishedModel]
    supervisor: int
    port: int
    temporary: Path
    report: Report = field(default_factory=Report)
    swap_s: list[float] = field(default_factory=list)
    respawn_s: list[float] = field(default_factory=list)

    async def run(self) -> Report:
        began = time.monotonic()
        if not await until(self._listening, PATIENCE_S):
            raise TimeoutError("the service does not listen")
        talks = [self.recorder.converse(self.port, number) for number in range(CONNECTIONS)]
        talks.append(self.recorder.offend(self.port, offences(NAME)))
        tasks = [asyncio.create_task(talk) for talk in talks]
        try:
            steady = asyncio.create_task(self._swap(self.plan.swaps))
            await self._watch(steady, share=0.8 if self.plan.kills else 1.0)
            if self.plan.kills:
                await self._kill(self.plan.kills)
                await until(lambda: self._done(1.0), 1e9)
        finally:
            self.recorder.stop = True
            await asyncio.wait(tasks, timeout=PATIENCE_S)
            await asyncio.sleep(0.1)  # What was closed is put away by then.
        for task in tasks:
            if task.done() and (error := task.exception()):
                self.recorder.complain(f"a connection ended: {error!r}")
        self._tell(time.monotonic() - began)
        return self.report

    async def _swap(self, times: int) -> None:
        """Publish, roll back, promote the newest, and again; a swap is done when it is in force on every connection."""
        for number in range(times):
            began = time.monotonic()
            version = await asyncio.to_thread(self._change, number % 3)
            if not await until(partial(self._served, version), PATIENCE_S):
                self.report.broken.append(f"version {version} was not served everywhere within {PATIENCE_S:.0f} s")
            self.swap_s.append(time.monotonic() - began)

    def _change(self, how: int) -> int:
        """Change what serves, and return the version that should now."""
        if how == 0:
            return _publish(self.store, self.models)
        *_, previous, newest = self.store.versions(NAME)
        self.store.change_serving(NAME, lambda serving: serving.promoted(previous if how == 1 else None))
        return previous if how == 1 else newest

    async def _watch(self, steady: "asyncio.Task[None]", share: float) -> None:
        """Take samples until the swaps and this share of the requests are done, and look whether they stay level."""
        samples: dict[int, list[Vitals]] = {worker: [] for worker in workers_of(self.supervisor)}
        counts: dict[str, list[int]] = {"series of metrics": [], "temporary files": []}
        # What comes first, warms up.
        await until(lambda: self._done(share / 10), 1e9)
        while not (steady.done() and self._done(share)):
            for worker, taken in samples.items():
                taken.append(vitals(worker, self._answered()))
            counts["series of metrics"].append(await asyncio.to_thread(series, f"http://127.0.0.1:{self.port}"))
            counts["temporary files"].append(sum(1 for _ in self.temporary.rglob("*")))
            await asyncio.sleep(0.25)
        steady.result()
        for number, taken in enumerate(samples.values(), 1):
            growth, allowed = growth_mb(taken)
            sizes = f"{taken[0].rss_mb:.1f} → {taken[-1].rss_mb:.1f} MB"
            self.report.figures[f"worker {number}"] = f"{sizes}, second half {growth:+.2f} MB (allowed {allowed:.1f})"
            if growth > allowed:
                self.report.broken.append(f"worker {number} grew by {growth:.1f} MB; {allowed:.1f} are allowed")
            counts[f"descriptors of worker {number}"] = [one.descriptors for one in taken]
            counts[f"threads of worker {number}"] = [one.threads for one in taken]
        for name, values in counts.items():
            self.report.figures[name] = f"{values[0]} → {values[-1]}, most {max(values)}"
            if complaint := level(name, values):
                self.report.broken.append(complaint)

    async def _kill(self, times: int) -> None:
        """Kill the oldest worker, time after time; each time another takes its place, and listens."""
        sockets = listeners(self.port)
        for _ in range(times):
            await asyncio.sleep(KILL_EVERY_S)
            victim = workers_of(self.supervisor)[0]
            moment = time.monotonic()
            clients = ports_of_clients(victim, self.port)
            self.recorder.doomed |= dict.fromkeys(clients, moment)
            os.kill(victim, signal.SIGKILL)
            if not await until(lambda: self._replaced(victim) and listeners(self.port) == sockets, PATIENCE_S):  # noqa: B023
                self.report.broken.append(f"a killed worker was not replaced within {PATIENCE_S:.0f} s")
                return
            self.respawn_s.append(time.monotonic() - moment)
            if not await until(partial(clients.isdisjoint, self.recorder.newest), PATIENCE_S):
                self.report.broken.append("a connection outlived its worker")

    def _served(self, version: int) -> bool:
        return set(self.recorder.newest.values()) == {version}

    def _replaced(self, victim: int) -> bool:
        return len(set(workers_of(self.supervisor)) - {victim}) == WORKERS

    def _answered(self) -> int:
        return self.recorder.counts["predicted"] + self.recorder.counts["refused"]

    def _done(self, share: float) -> bool:
        counts = self.recorder.counts
        if self.recorder.complaints:
            return True
        return counts["predicted"] >= share * self.plan.predictions and counts["refused"] >= share * self.plan.errors

    def _listening(self) -> bool:
        try:
            return series(f"http://127.0.0.1:{self.port}") > 0 and len(workers_of(self.supervisor)) == WORKERS
        except OSError:
            return False

    def _tell(self, seconds: float) -> None:
        counts, figures = self.recorder.counts, self.report.figures
        figures["right predictions"] = f"{counts['predicted']} ({counts['predicted'] / seconds:.0f} a second)"
        figures["right refusals"] = f"{counts['refused']}, and {counts['offended']} broken or unfinished requests"
        figures["wrong answers"] = str(counts["wrong"])
        figures["swaps"] = _spread(self.swap_s)
        figures["kills"] = _spread(self.respawn_s)
        figures["connections reset"] = f"{counts['reset']}"
        self.report.broken += self.recorder.complaints


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "0"
    return f"{len(seconds)}, median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s"


def _build(root: Path, seed: int) -> ModelRepository:
    repository = ModelRepository(root)
    table = ROOT / "examples/penguins.csv"
    run(TrainingConfig.of(table=table, target="species", name=NAME, seed=seed, epochs=4, members=1), repository)
    return repository


def _publish(store: ModelRepository, models: list[PublishedModel]) -> int:
    """Publish the other model; the oldest versions go."""
    versions = store.versions(NAME)
    model = models[((versions or [0])[-1] + 1) % len(models)]
    version = store.publish(model.card, {"model.onnx": model.onnx})
    for old in versions[:-KEPT_VERSIONS]:
        # Away from the readers' eyes first: a version is there whole or not at all.
        gone = (store.root / NAME / str(old)).rename(store.root / NAME / ".staging-old")
        shutil.rmtree(gone)
    return version


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("predictions", 20_000), ("errors", 2_000), ("swaps", 20), ("kills", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Plan(**vars(parser.parse_args())), Path(folder))
    for name, figure in report.figures.items():
        print(f"{name:26} {figure}")
    for sentence in report.broken:
        print(f"BROKEN: {sentence}")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
