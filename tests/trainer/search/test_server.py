"""Studies on a real PostgreSQL, a throw-away cluster of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.conftest import find_free_port
from tests.trainer.search.conftest import outcomes
from tests.trainer.search.test_interruptions import ROOT, children, leaderboard, without_time
from trainer.errors import StorageUnreachable, TrainerError
from trainer.search.claims import FIRST_TRIAL
from trainer.search.crew import run_workers
from trainer.search.search import Request, Search
from trainer.search.server import ServerClaims

Make = Callable[..., Request]
Open = Callable[[Request], Search]
PATIENCE_S = 30.0
FLAGS = ("--hidden", "4", "--epochs", "2", "--patience", "2", "--seeds", "0")


def find_programs() -> Path | None:
    """Where Debian keeps the newest PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


pytestmark = pytest.mark.skipif(find_programs() is None, reason="no PostgreSQL is installed")


@dataclass
class Cluster:
    """A server with one database a name; nobody but this machine reaches it."""

    programs: Path
    folder: Path
    port: int
    user: str | None
    process: subprocess.Popen[bytes] | None = None

    def address(self, database: str) -> str:
        return f"postgresql://evenkeel:secret@127.0.0.1:{self.port}/{database}"

    def run(self, *command: str | Path) -> None:
        subprocess.run(list(map(str, command)), check=True, capture_output=True, user=self.user, cwd=self.folder)

    def start(self) -> None:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *flags]
        self.process = subprocess.Popen(
            command, user=self.user, cwd=self.folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.address("postgres")).close()
                return
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.1)

    def stop(self) -> None:
        """At once, without a word to anybody who is connected."""
        assert self.process is not None
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    programs = find_programs()
    assert programs is not None
    # The server refuses to be root, and pytest's own folders are for root alone.
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="evenkeel-postgresql-") as name:
        folder = Path(name)
        password = folder / "password"
        password.write_text("secret")
        if user:
            shutil.chown(folder, user)
            shutil.chown(password, user)
        cluster = Cluster(programs, folder, find_free_port(), user)
        cluster.run(
            programs / "initdb", "-D", folder / "data", "-U", "evenkeel", "-A", "scram-sha-256", f"--pwfile={password}"
        )
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def address(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """The address of a fresh database."""
    name = f"study{abs(hash(request.node.name)) % 10**9}"
    with psycopg.connect(cluster.address("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return cluster.address(name)


def start(penguins: Path, store: Path, address: str, *flags: str) -> subprocess.Popen[str]:
    """A machine of its own, as far as the study can tell: other processes, another folder."""
    arguments = ["search", str(penguins), "--target", "species", "--name", "penguins", "--repository", str(store)]
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *arguments, *FLAGS, *flags],
        cwd=ROOT,
        env={**os.environ, "EVENKEEL_STORAGE": address, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def records(address: str) -> Counter[str]:
    """How many records each trial has, asked of the database itself."""
    question = "SELECT value_json FROM trial_user_attributes WHERE key = 'index'"
    with suppress(psycopg.errors.UndefinedTable), psycopg.connect(address) as connection:
        return Counter(row[0] for row in connection.execute(question))
    return Counter()


def test_a_database_holds_what_a_journal_holds(request_for: Make, address: str, opened: Open, searched: Open) -> None:
    """The same trials, to the last bit."""
    journal = searched(request_for(trials=20, stage=8, folder="journal"))
    database = opened(request_for(trials=20, stage=8, jobs=2, folder="database", address=address))
    run_workers(database, lambda trials, total: None)

    assert outcomes(journal) == outcomes(database)


def test_trials_on_two_machines_with_8_workers_that_are_killed(
    penguins: Path, tmp_path: Path, address: str, pytestconfig: pytest.Config
) -> None:
    """None lost, none double: each has one record, and both machines have the same leaderboard."""
    trials = 500 if pytestconfig.getoption("--long") else 120
    flags = ("--trials", str(trials), "--jobs", "4")
    machines = [start(penguins, tmp_path / name, address, *flags) for name in "ab"]
    killed = 0
    with ThreadPoolExecutor() as readers:  # Or their pipes would run full.
        said = [readers.submit(machine.communicate) for machine in machines]
        while not all(one.done() for one in said):
            time.sleep(0.5)
            if killed < 10 and sum(records(address).values()) > trials * 0.08 * killed:
                with suppress(OSError, IndexError):
                    os.kill(children(machines[killed % 2])[killed % 4], signal.SIGKILL)
                    killed += 1

    assert [machine.returncode for machine in machines] == [0, 0], [one.result()[1][-2000:] for one in said]
    assert killed >= 6
    assert records(address) == {str(index): 1 for index in range(trials)}
    first, second = (without_time(leaderboard(tmp_path / name)) for name in "ab")
    assert first == second


def test_a_machine_that_is_gone_leaves_its_trials_to_the_others(penguins: Path, tmp_path: Path, address: str) -> None:
    """kill -9 of everything there; the other one finishes alone, and publishes."""
    flags = ("--trials", "60", "--jobs", "2", "--epochs", "10", "--seeds", "1")
    gone = start(penguins, tmp_path / "gone", address, *flags)
    assert gone.stderr is not None
    gone.stderr.readline()
    workers = children(gone)
    gone.kill()
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    gone.communicate()
    left = start(penguins, tmp_path / "left", address, *flags)
    output, errors = left.communicate()

    assert left.returncode == 0, errors
    assert records(address) == {str(index): 1 for index in range(60)}
    assert "Published in" in output


def test_one_machine_publishes(penguins: Path, tmp_path: Path, address: str) -> None:
    """Two that share a repository and finish together leave one version."""
    flags = ("--trials", "20", "--jobs", "1", "--seeds", "2")
    machines = [start(penguins, tmp_path / "store", address, *flags, "--study", str(tmp_path / name)) for name in "ab"]
    outputs = [machine.communicate()[0] for machine in machines]

    assert [entry.name for entry in (tmp_path / "store/penguins").iterdir()] == ["1"]
    assert sorted("Published already, version 1" in output for output in outputs) == [False, True]


def test_a_server_that_restarts_costs_nothing(cluster: Cluster, penguins: Path, tmp_path: Path, address: str) -> None:
    """Workers wait for it and claim their trials again; what a dying server took twice counts once."""
    machine = start(penguins, tmp_path, address, "--trials", "60", "--jobs", "2", "--epochs", "10")
    assert machine.stderr is not None
    machine.stderr.readline()
    cluster.stop()
    time.sleep(1)
    cluster.start()
    _, errors = machine.communicate()

    assert machine.returncode == 0, errors
    assert set(records(address)) == {str(index) for index in range(60)}
    assert sorted(int(row["trial"]) for row in leaderboard(tmp_path)) == list(range(60))


def test_a_claim_is_one_s_alone_and_ends_with_the_connection(address: str) -> None:
    """Whoever has lost it knows."""
    one, other = (ServerClaims(address, "study") for _ in range(2))
    elsewhere = ServerClaims(address, "another study")
    place = FIRST_TRIAL + 7

    assert one.take(place)
    assert one.still_has(place)
    assert not other.take(place)
    assert elsewhere.take(place)
    one._connection.close()
    # The server hears of it a moment later.
    until = time.monotonic() + PATIENCE_S
    while not other.take(place):
        assert time.monotonic() < until
    assert not one.still_has(place)
    for claims in (one, other, elsewhere):
        claims.close()


@pytest.mark.parametrize(
    ("address_of", "sentence"),
    [
        (lambda port: f"postgresql://u:hush@127.0.0.1:{port}/none", "cannot be reached"),
        (lambda port: "postgresql://u:hush@nowhere.invalid/none", "cannot be reached"),
        (lambda port: "sqlite:///study.db", "--storage takes postgresql://user@host/database"),
        (lambda port: "study", "--storage takes postgresql://user@host/database"),
    ],
)
def test_a_storage_out_of_reach_is_refused(
    request_for: Make, free_port: int, address_of: Callable[[int], str], sentence: str, opened: Open
) -> None:
    """One sentence, no password in it, nothing written."""
    request = request_for(address=address_of(free_port))
    with pytest.raises(StorageUnreachable) as refusal:
        opened(request)

    assert sentence in str(refusal.value)
    assert "hush" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not request.place.folder.exists()


def test_another_table_is_not_mixed_into_a_database(
    request_for: Make, address: str, penguins: Path, tmp_path: Path, opened: Open, searched: Open
) -> None:
    """From another machine neither."""
    searched(request_for(trials=2, address=address))
    other = tmp_path / "other.csv"
    other.write_text("\n".join(penguins.read_text().splitlines()[:-1]))
    request = request_for(trials=2, address=address, folder="elsewhere", given={"table": other})

    with pytest.raises(TrainerError, match="was founded on another table"):
        opened(request)
    assert records(address) == {"0": 1, "1": 1}
    assert not request.place.folder.exists()
