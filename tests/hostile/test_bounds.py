"""Memory and time of a worker are functions of its limits: whatever a body unfolds to, whatever model it asks."""

import gzip
import http.client
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running

pytest.importorskip("onnx")

from tests.hostile.unfolding import SHAPES, Body, bodies, publish, tables

# Peak memory of a worker: what it takes idle, what its threads take of any body, and so many bodies of the longest.
PIECES = 96 << 20
BODIES = 16
HEALTH_S = 0.25
TRIES = 3
PATIENCE_S = 120.0
# Asks for health again and again; for each line of input it tells the longest answer since the last, and how many times
# longer a millisecond's work took than it should. A process of its own, as the one that sends is busy.
PROBE = """
import http.client, select, sys, time
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=120)
slowest, share = 0.0, 1.0
while True:
    began = time.perf_counter()
    connection.request("GET", "/v2/health/live")
    connection.getresponse().read()
    slowest = max(slowest, time.perf_counter() - began)
    if select.select([sys.stdin], [], [], 0.0)[0]:
        if not sys.stdin.readline():
            break
        print(slowest, share, flush=True)
        slowest, share = 0.0, 1.0
    time.sleep(0.01)
    began, worked = time.perf_counter(), time.process_time()
    while time.process_time() < worked + 0.001:
        pass
    share = max(share, (time.perf_counter() - began) / (time.process_time() - worked))
"""
DEFAULT = "mixed"
# Of each kind of body, for a model to which it is bad.
WORST = [
    ("mixed", "empty rows"),
    ("narrow", "arrays"),
    ("mixed", "broken records"),
    ("many-classes", "rows"),
    ("largest", "records"),
    ("wide-texts", "rows"),
    ("wide", "tensor: nested"),
    ("texts", "tensor: arrays"),
    ("wide-texts", "raw"),
    ("wide", "binary: INT8"),
    ("many-classes", "wishes"),
    (DEFAULT, "columns"),
    (DEFAULT, "csv"),
    (DEFAULT, "csv of quotes"),
]


class Vitals:
    """The memory of the worker, and how long health takes meanwhile."""

    def __init__(self, service: Service, port: int, limit: int, default: str) -> None:
        self.port, self.limit, self.default = port, limit, default
        pid = service.process.pid
        (self._pid,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        self._idle = self._memory("VmRSS")
        command = [sys.executable, "-c", PROBE, str(port)]
        self._probe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hold(self, case: str, ask: Callable[[], object]) -> None:
        """What is asked takes no more memory than is promised, and lets health wait no longer: of a few times, and by
        as much more as this machine lets anybody wait.
        """
        for _ in range(TRIES):
            Path(f"/proc/{self._pid}/clear_refs").write_text("5")
            self._slowest()
            ask()
            slowest, share = self._slowest()
            more = self._memory("VmHWM") - self._idle
            print(f"{case}: {more >> 20} MB; health {1000 * slowest:.0f} ms, machine {share:.1f}")
            assert more <= PIECES + BODIES * self.limit, case
            if slowest <= HEALTH_S * share:
                return
        raise AssertionError(f"{case}: health took {1000 * slowest:.0f} ms at the best of {TRIES} times")

    def close(self) -> None:
        self._probe.communicate()

    def _memory(self, kind: str) -> int:
        (line,) = [one for one in Path(f"/proc/{self._pid}/status").read_text().splitlines() if one.startswith(kind)]
        return int(line.split()[1]) << 10

    def _slowest(self) -> tuple[float, float]:
        """Seconds of the longest answer since this was asked last, and how busy the machine was."""
        assert self._probe.stdin is not None
        assert self._probe.stdout is not None
        self._probe.stdin.write("\n")
        self._probe.stdin.flush()
        slowest, share = map(float, self._probe.stdout.readline().split())
        return slowest, share


@pytest.fixture(scope="module", params=[DEFAULT, "wide", "wide-texts", "narrow"])
def vitals(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Vitals]:
    """A service of all models, and of which /invocations asks one."""
    long, default = request.config.getoption("long"), request.param
    if default != DEFAULT and not long:
        pytest.skip("of the long form")
    folder = tmp_path_factory.mktemp("bounds")
    repository = ModelRepository(folder / "store")
    for name, shape in SHAPES.items():
        publish(repository, name, shape)
    port, limit = find_free_port(), (16 if long else 8) << 20
    settings = {
        "EVENKEEL_MAX_BODY_BYTES": str(limit),
        "EVENKEEL_DEADLINE_SECONDS": "60",
        "EVENKEEL_RUN_SECONDS": "60",
        "EVENKEEL_DEFAULT_MODEL": default,
        "EVENKEEL_TRIAL_MEGABYTES": "1024",
    }
    with (folder / "log").open("wb") as log, running(folder / "store", port, log, **settings) as service:
        service.wait()
        vitals = Vitals(service, port, limit, default)
        yield vitals
        vitals.close()
        assert "traceback" not in (folder / "log").read_text()


def ask(port: int, body: Body, compressed: bool) -> int:
    """The status of the answer, which is whole."""
    headers, text = {"Content-Type": body.content_type} | dict(body.headers), body.text
    if compressed:
        headers["Content-Encoding"], text = "gzip", gzip.compress(text, 1)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", body.path, text, headers)
    with connection.getresponse() as answer:
        content = answer.read()
    connection.close()
    if answer.status != 200:
        refusal = json.loads(content)
        assert len(content) < 16384
        assert len(refusal["details"]) <= 20
    return answer.status


def answered(port: int, body: Body, compressed: bool) -> None:
    assert ask(port, body, compressed) in (200, 400, 413, 422)


def test_no_body_takes_more_than_is_promised(vitals: Vitals, request: pytest.FixtureRequest) -> None:
    """The worst of each kind, or all of them; as they are and compressed."""
    long = request.config.getoption("long")
    dice = random.Random() if long else random.Random(0)
    kinds = {name: bodies(name, vitals.limit - 4096, dice) for name in SHAPES}
    kinds[vitals.default] |= tables(vitals.default, vitals.limit - 4096, dice)
    every = [(name, kind) for name, made in kinds.items() for kind in made]
    for name, kind in every if long else WORST:
        body = kinds[name][kind]()
        compressed = dice.random() < 0.5
        vitals.hold(f"{name}, {kind}{', compressed' * compressed}", partial(answered, vitals.port, body, compressed))


def test_requests_at_the_same_time_share_the_memory(vitals: Vitals) -> None:
    """Four of the worst: what has no room is refused."""
    dice = random.Random(1)
    asked = [
        bodies(name, vitals.limit - 4096, dice)[kind]() for name, kind in (("wide-texts", "rows"), ("wide", "rows"))
    ]
    statuses: set[int] = set()

    def together() -> None:
        with ThreadPoolExecutor(4) as clients:
            statuses.update(clients.map(lambda number: ask(vitals.port, asked[number % 2], False), range(4)))

    vitals.hold("four at the same time", together)
    assert 200 in statuses
    assert statuses <= {200, 413, 503}


def test_a_short_body_is_answered_in_time(vitals: Vitals) -> None:
    """Of what the event loop answers itself, what takes it longest."""
    dice = random.Random(2)
    for name in SHAPES:
        for size in (300, 16000):
            for kind, body in bodies(name, size, dice).items():
                made = body()
                case = f"{name}, {kind}, {len(made.text)} bytes"
                vitals.hold(case, partial(answered, vitals.port, made, compressed=False))
