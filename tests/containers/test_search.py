import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.conftest import ROOT, Stack, build, needs_engine

pytestmark = needs_engine

# Two searches of the same study: each searcher has the same words.
SEARCH = "examples/penguins.csv --target species --name searched --trials 12 --epochs 4 --seeds 1"
READ = """
import os
os.chdir("/var/lib/study")
print(oct(os.stat("password").st_mode & 0o777), open("password").read(), end="")
"""
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


def test_nobody_knows_the_password_beforehand(stack: Stack) -> None:
    """It was made by the first start, stands in no variable, and is asked for; a second start makes no other one."""
    password = stack.inside("searcher", READ).stdout
    with_default = "import psycopg; psycopg.connect('postgresql://evenkeel:evenkeel@postgresql/evenkeel')"

    assert re.fullmatch(r"0o600 [0-9a-f]{48}", password)
    for service in ("searcher", "postgresql", "password"):
        assert (
            password.split()[1]
            not in subprocess.run(
                ["docker", "inspect", *stack.compose("ps", "--all", "--quiet", service).stdout.split()],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    assert "password authentication failed" in stack.inside("searcher", with_default).stderr
    stack.compose("--profile", "search", "up", "password")
    assert stack.inside("searcher", READ).stdout == password


def test_another_password_is_taken_by_what_is_documented(stack: Stack) -> None:
    """The one of an older release, or one that has leaked: the command of docs/search.md."""
    (command,) = re.findall(
        r"^```sh\n(docker compose exec .*?)^```$", (ROOT / "docs/search.md").read_text(), re.MULTILINE | re.DOTALL
    )
    connect = "import psycopg; print(psycopg.connect('postgresql://evenkeel@postgresql/evenkeel').info.user)"
    sql = "echo \"ALTER USER evenkeel PASSWORD 'evenkeel'\" | psql -U evenkeel"
    stack.compose("exec", "-T", "postgresql", "sh", "-c", sql)
    refused = stack.inside("searcher", connect)
    told = stack.run("bash", "-c", command)

    assert "password authentication failed" in refused.stderr
    assert told.returncode == 0, told.stderr
    assert stack.inside("searcher", connect).stdout == "evenkeel\n"


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
