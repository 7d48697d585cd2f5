"""Serving, ours and the peers: one worker each on one core, the load on the other, everyone in turn, round after round.

PYTHONPATH=. python benchmarks/serving.py --peers FOLDER --data FOLDER

`--peers` holds a virtual environment for each peer, by name: granian, which is the bare handler, fastapi, mlserver and,
where they are to be measured too, flask, litserve, bentoml; `pip install -r benchmarks/peers/requirements/NAME.txt`
fills one. `--data` holds the table adult. Needs wrk and taskset. Models: what `fit` publishes by default of digits,
penguins and adult, and with `--student 128,128`; everyone answers with the same file. Ours asks for API keys, counts
and watches for drift. `--models` and `--parts` choose some of it.
"""

import argparse
import math
import os
import socket
import statistics
import sys
import tempfile
import time
import timeit
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from benchmarks.load import SERVER_CORE, Load, Request, Server, open_loop, running
from benchmarks.served import (
    AUTHORIZATION,
    KEYS,
    ROOT,
    STUDENTS,
    TARGETS,
    digits,
    one_row,
    requests,
    thousand_rows,
    train_models,
)
from benchmarks.stages import stages
from models.repository import ModelRepository
from service.prediction.predictor import Predictor

PEERS = ROOT / "benchmarks/peers"
OURS = ("by position", "by name", "V2 JSON", "V2 binary", "V2 raw")
OTHERS = ("FastAPI", "Flask, gunicorn", "MLServer", "LitServe", "BentoML")
# Of the other models what goals name.
SHORT = ("by name",), ("FastAPI", "MLServer")
FOLDERS = {"FastAPI": "fastapi", "Flask, gunicorn": "flask", "MLServer": "mlserver"}
FOLDERS |= {"LitServe": "litserve", "BentoML": "bentoml"}
MODELS = [table + ending for table, ending in product(TARGETS, STUDENTS)]
PARTS = ("ladder", "rows", "open", "stages")


@dataclass(frozen=True)
class Rung:
    """Measurements with 16 connections and with one, each with that of the bare handler right before it."""

    many: list[Load]
    one: list[Load]
    floors_of_many: list[Load]
    floors_of_one: list[Load]

    def of_bare(self, part: str) -> float:
        return _ratio(self.many, self.floors_of_many, part)

    def alone(self, part: str) -> float:
        return _ratio(self.one, self.floors_of_one, part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--open-loop-seconds", type=float, default=60)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--store", type=Path, help="keep the models here, and take those that are there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = options.store or Path(folder)
        train_models(store, options.data)
        goals = []
        for model in options.models:
            with ExitStack() as stack:
                goals += measure(stack, store, model, options)
        if goals:
            print("\n| by name | of FastAPI | of MLServer | of bare | p50 alone, of bare | µs of processor, bare's |")
            print("|---|---|---|---|---|---|")
            print("\n".join(goals), flush=True)
        if "stages" in options.parts:
            stages(store, store / KEYS, requests(store, options.data))


def measure(stack: ExitStack, store: Path, model: str, options: argparse.Namespace) -> list[str]:
    """All that is asked for of a model; returns its line in the table of goals."""
    whole, parts, lines = model == "digits", options.parts, []
    asked = one_row(store, options.data, model)
    ours, peers = (OURS, OTHERS) if whole else SHORT
    others = tuple(name for name in peers if "ladder" in parts and (options.peers / FOLDERS[name]).is_dir())
    names = ("empty", "bare", "ours", *others) if whole else ("bare", "ours", *others)
    servers = start(stack, store, model, options.peers, names, asked)
    if "ladder" in parts:
        if whole:
            for name in ("ours", "bare"):
                print(f"{name}: ready after {servers[name].ready_s:.2f} s, {servers[name].memory_mb():.0f} MB")
        rungs = ladder(servers, asked, ours, options.rounds, options.seconds)
        if whole:
            tell(rungs)
        lines.append(goal(model, rungs))
    if "rows" in parts and model in ("digits", "digits-small"):
        many_rows(servers["ours"], store, model, options.rounds, options.seconds)
    if whole and "open" in parts:
        half_the_rate(servers, asked, options.open_loop_seconds)
    if whole:
        servers["ours"].wake()
        check_counting(servers["ours"], asked["by position"])
    return lines


def half_the_rate(servers: dict[str, Server], asked: dict[str, Request], seconds: float) -> None:
    """At half of the rate that a server can take."""
    print(f"\nat half of their rates for {seconds:.0f} s, whatever is answered when:")
    print("| open loop | requests/s | p50 µs | p99 µs | ratio |\n|---|---|---|---|---|")
    for name, request in (("bare", "peer"), ("ours", "by position")):
        server = servers[name]
        rate = server.measure(asked[request], 16, 3).rate
        server.wake()
        load = open_loop(server.port, asked[request], rate / 2, seconds)
        print(f"| {name} | {load.rate:.0f} | {load.p50:.0f} | {load.p99:.0f} | {load.p99 / load.p50:.1f} |", flush=True)


def start(
    stack: ExitStack, store: Path, model: str, peers: Path, names: Sequence[str], asked: dict[str, Request]
) -> dict[str, Server]:
    """The servers of those names, each with the same model."""
    quiet = "--no-access-log --log-level error --loop uvloop --http httptools"
    commands = {
        "empty": (PEERS, f"{peers}/granian/bin/python bare.py empty {{port}}"),
        "bare": (PEERS, f"{peers}/granian/bin/python bare.py bare {{port}}"),
        "ours": (ROOT, f"{sys.executable} -m service"),
        "FastAPI": (PEERS, f"{peers}/fastapi/bin/uvicorn fastapi_app:app --port {{port}} {quiet}"),
        "Flask, gunicorn": (
            PEERS,
            f"{peers}/flask/bin/gunicorn flask_app:app -b 127.0.0.1:{{port}} -k gthread --threads 4",
        ),
        "MLServer": (PEERS / "mlserver", f"{peers}/mlserver/bin/mlserver start ."),
        "LitServe": (PEERS, f"{peers}/litserve/bin/python litserve_app.py {{port}}"),
        "BentoML": (
            PEERS,
            f"{peers}/bentoml/bin/bentoml serve bentoml_app:Classifier --host 127.0.0.1 --port {{port}}",
        ),
    }
    servers = {}
    for name in names:
        folder, command = commands[name]
        port, other, third = (free_port() for _ in range(3))
        environment = {
            "MODEL": str(store / model / "1/model.onnx"),
            "EVENKEEL_REPOSITORY": str(store),
            "EVENKEEL_PORT": str(port),
            "EVENKEEL_WORKERS": "1",
            "EVENKEEL_API_KEYS_FILE": str(store / KEYS),
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(port),
            "MLSERVER_GRPC_PORT": str(other),
            "MLSERVER_METRICS_PORT": str(third),
            "MLSERVER_PARALLEL_WORKERS": "0",
            "MLSERVER_DEBUG": "false",
        }
        request = {"ours": asked["by position"], "MLServer": asked["peer V2"]}.get(name, asked["peer"])
        servers[name] = stack.enter_context(running(command.format(port=port), folder, environment, port, request))
    return servers


def check_counting(server: Server, request: Request) -> None:
    """What was measured was asked for its key, and drift was counted."""
    url = f"http://127.0.0.1:{server.port}"
    with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics", headers=AUTHORIZATION)) as response:
        assert 'evenkeel_drift_psi{model="digits"' in response.read().decode()
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(urllib.request.Request(f"{url}{request.path}", request.body)).close()
        raise AssertionError("the service asked for no key")


def ladder(
    servers: dict[str, Server], asked: dict[str, Request], ours: Sequence[str], rounds: int, seconds: int
) -> dict[str, Rung]:
    """One row, from nothing at all to every peer."""
    asks = {name: (name, "peer") for name in ("empty", "bare") if name in servers} | {
        name: ("ours", name) for name in ours if name in asked
    }
    for name in (name for name in servers if name in OTHERS):
        asks[name] = (name, "peer V2" if name == "MLServer" else "peer")
    rungs = {name: Rung([], [], [], []) for name in asks}
    for _ in range(rounds):
        for name, rung in rungs.items():
            server, request = asks[name]
            for count, floors, loads in ((16, rung.floors_of_many, rung.many), (1, rung.floors_of_one, rung.one)):
                # A busy host gives more or less from one minute to the next: each is held against its neighbour.
                floors.append(servers["bare"].measure(asked["peer"], count, seconds))
                loads.append(servers[server].measure(asked[request], count, seconds))
    return rungs


def tell(rungs: dict[str, Rung]) -> None:
    """The table of all rungs."""
    print("\n| one row | requests/s | of bare | µs of processor | p50 / p99 µs alone | of bare |")
    print("|---|---|---|---|---|---|")
    for name, rung in rungs.items():
        print(
            f"| {name} | {_median(rung.many, 'rate'):.0f} | {rung.of_bare('rate'):.2f} "
            f"| {_median(rung.many, 'cpu'):.0f} "
            f"| {_median(rung.one, 'p50'):.0f} / {_median(rung.one, 'p99'):.0f} "
            f"| {rung.alone('p50'):.2f} / {rung.alone('p99'):.2f} |",
            flush=True,
        )


def goal(model: str, rungs: dict[str, Rung]) -> str:
    """The line of a model: one row by name beside the peers and the bare handler."""
    ours = rungs["by name"]
    peers = (f"{ours.of_bare('rate') / rungs[name].of_bare('rate'):.1f}" if name in rungs else "" for name in SHORT[1])
    processor = f"{_median(ours.many, 'cpu'):.0f}, {_median(ours.floors_of_many, 'cpu'):.0f}"
    return f"| {model} | {' | '.join(peers)} | {ours.of_bare('rate'):.2f} | {ours.alone('p50'):.2f} | {processor} |"


def many_rows(server: Server, store: Path, model: str, rounds: int, seconds: int) -> None:
    """Over the wire, and within this process on the server's core. With one connection the server waits for the client
    meanwhile, with four it always has something to do. On a busy machine the time of the processor tells more.
    """
    cores = os.sched_getaffinity(0)
    predictor, rows, asked = Predictor(ModelRepository(store).read(model, 1)), digits(1000), thousand_rows(model)
    print(f"\n| {model} | connections | rows/s | of onnxruntime in process | by the processor's time |")
    print("|---|---|---|---|---|")
    for name, connections in product(asked, (1, 4)):
        loads, shares = [], []
        for _ in range(rounds):
            os.sched_setaffinity(0, {int(SERVER_CORE)})
            within, cpu = (
                min(timeit.repeat(lambda: predictor.predict({"numeric": rows}), timer=timer, number=50)) / 50
                for timer in (time.perf_counter, time.process_time)
            )
            os.sched_setaffinity(0, cores)
            loads.append(server.measure(asked[name], connections, seconds))
            shares.append((loads[-1].rate * within, 1e6 * cpu / (loads[-1].cpu or math.nan)))
        clock, processor = (statistics.median(each) for each in zip(*shares, strict=True))
        print(
            f"| {name} | {connections} | {1000 * _median(loads, 'rate'):.0f} | {clock:.2f} | {processor:.2f} |",
            flush=True,
        )


def _median(loads: list[Load], part: str) -> float:
    median: float = statistics.median(getattr(load, part) for load in loads)
    return median


def _ratio(loads: list[Load], others: list[Load], part: str) -> float:
    """The median of ratios, each of two measurements in a row; on a busy machine a peer may answer nothing."""
    pairs = [(getattr(load, part), getattr(other, part)) for load, other in zip(loads, others, strict=True)]
    return statistics.median(one / other if other else math.inf for one, other in pairs)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
