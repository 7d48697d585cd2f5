"""Memory and time of a worker are functions of its limits: whatever a body unfolds to, whatever model it asks."""

import gzip
import http.client
import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running

pytest.importorskip("onnx")

from tests.hostile.unfolding import SHAPES, Body, bodies, publish, tables
from tests.hostile.vitals import Vitals

PATIENCE_S = 120.0
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


@pytest.fixture(scope="module", params=[DEFAULT, "wide", "wide-texts", "narrow"])
def default(request: pytest.FixtureRequest) -> str:
    """The model that /invocations asks."""
    if request.param != DEFAULT and not request.config.getoption("long"):
        pytest.skip("of the long form")
    return str(request.param)


@pytest.fixture(scope="module")
def vitals(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, default: str) -> Iterator[Vitals]:
    """A service of all models."""
    folder = tmp_path_factory.mktemp("bounds")
    repository = ModelRepository(folder / "store")
    for name, shape in SHAPES.items():
        publish(repository, name, shape)
    port, limit = find_free_port(), (16 if request.config.getoption("long") else 8) << 20
    settings = {
        "EVENKEEL_MAX_BODY_BYTES": str(limit),
        "EVENKEEL_DEADLINE_SECONDS": "60",
        "EVENKEEL_RUN_SECONDS": "60",
        "EVENKEEL_DEFAULT_MODEL": default,
        "EVENKEEL_TRIAL_MEGABYTES": "1024",
    }
    with (folder / "log").open("wb") as log, running(folder / "store", port, log, **settings) as service:
        service.wait()
        vitals = Vitals(service, port, limit)
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


def test_no_body_takes_more_than_is_promised(vitals: Vitals, default: str, request: pytest.FixtureRequest) -> None:
    """The worst of each kind, or all of them; as they are and compressed."""
    long = request.config.getoption("long")
    dice = random.Random() if long else random.Random(0)
    kinds = {name: bodies(name, vitals.limit - 4096, dice) for name in SHAPES}
    kinds[default] |= tables(default, vitals.limit - 4096, dice)
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
