"""What every test may use: the example table, and a free port."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from random import SystemRandom

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# As `python -m trainer` sets it; read when numpy is imported.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

ROOT = Path(__file__).parents[1]

LOWEST_PORT = 10_000
HANDED_OUT_FROM = max(LOWEST_PORT + 1000, int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="every test, as .ci/run has them: 20 minutes")
    parser.addoption("--long", action="store_true", help="the longest forms too: faults at every call, long fuzzing")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is `thorough`, unless everything is asked for."""
    if everything(config):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def everything(config: pytest.Config) -> bool:
    """Whether every form of each promise is to be tested, and not each promise once."""
    return bool(config.getoption("--all") or config.getoption("--long"))


@pytest.fixture(scope="session", name="everything")
def _everything(pytestconfig: pytest.Config) -> bool:
    return everything(pytestconfig)


@pytest.fixture(scope="session")
def penguins() -> Path:
    """The example table: 344 rows, 5 numeric and 2 categorical features, 19 missing cells, 3 classes."""
    return ROOT / "examples/penguins.csv"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of whoever runs the tests reaches them."""
    for variable in [name for name in os.environ if name.startswith("EVENKEEL_")]:
        if variable != "EVENKEEL_DATA":
            monkeypatch.delenv(variable)


def find_free_port() -> int:
    """A port that nobody listens on, and that no other worker of these tests finds meanwhile.

    It is none of those that Linux hands out itself, to clients for one: it stays free for as long as a container takes
    to be built.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = SystemRandom().randrange(LOWEST_PORT + worker, HANDED_OUT_FROM, workers)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


@pytest.fixture
def free_port() -> int:
    """A loopback port that nobody listens on."""
    return find_free_port()
