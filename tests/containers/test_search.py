import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.conftest import ROOT, Stack, build, needs_engine

pytestmark = needs_engine

# Two searches of the same study: each searcher has the same words.
SEARCH = "examples/penguins.csv --target species --name searched --trials 12 --epochs 4 --seeds 1"
IMAGE = "evenkeel-test-postgresql"


@pytest.fixture(scope="module")
def stack(empty_stack: Callable[..., Stack]) -> Stack:
    """The profile `search`, with Debian's PostgreSQL: a registry with the official image is out of reach here."""
    build(Path(__file__).parent / "postgresql", IMAGE)
    return empty_stack(EVENKEEL_POSTGRESQL_IMAGE=IMAGE, EVENKEEL_SEARCH=SEARCH, EVENKEEL_DEFAULT_MODEL="searched")


def test_searchers_share_one_study(stack: Stack) -> None:
    """By the command of the docs: four containers, one database, twelve trials, one published model that is served."""
    command = "docker compose --profile search up --build --scale searcher=4"
    assert command in (ROOT / "docs/search.md").read_text()
    stack.compose(*shlex.split(command)[2:], "--detach")
    searchers = stack.compose("ps", "--all", "--quiet", "searcher").stdout.split()
    ended = subprocess.run(["docker", "wait", *searchers], capture_output=True, text=True, timeout=300, check=True)

    assert ended.stdout.split() == ["0"] * 4, stack.compose("logs", "searcher").stdout[-4000:]
    listed = stack.inside("service", "from models.__main__ import main; main(['show', 'searched', '--json'])")
    assert '"trials": 12' in listed.stdout
    assert stack.inside("service", "import os; print(os.listdir('/var/lib/models/searched'))").stdout == "['1']\n"


def test_the_database_is_out_of_reach_from_outside(stack: Stack) -> None:
    """It publishes no port, and its network has no way out."""
    described = stack.inspect("postgresql")

    assert not described["HostConfig"]["PortBindings"]
    (network,) = described["NetworkSettings"]["Networks"]
    inspected = subprocess.run(
        ["docker", "network", "inspect", "--format", "{{.Internal}}", network],
        capture_output=True,
        text=True,
        check=True,
    )
    assert inspected.stdout == "true\n"
