"""Studies on a real PostgreSQL, a throw-away cluster of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.conftest import find_free_port
from tests.trainer.search.conftest import outcomes
from tests.trainer.search.processes import SearchProcess, leaderboard, searching
from trainer.errors import StorageUnreachable, TrainerError
from trainer.search.claims import FIRST_TRIAL
from trainer.search.crew import run_workers
from trainer.search.search import Request, Search
from trainer.search.server import ServerClaims

Make = Callable[..., Request]
Open = Callable[[Request], Search]
Start = Callable[..., SearchProcess]
PATIENCE_S = 30.0
FLAGS = ("--hidden", "4", "--epochs", "2", "--patience", "2", "--seeds", "0", "--members", "1")


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


@pytest.fixture
def start(penguins: Path, address: str) -> Iterator[Start]:
    """Start a machine of its own, as far as the study can tell: other processes, another folder."""
    with ExitStack() as stack:
        yield lambda store, *flags: stack.enter_context(
            searching(penguins, store, *FLAGS, *flags, environment={"EVENKEEL_STORAGE": address})
        )


def records(address: str) -> Counter[str]:
    """How many records each trial has, asked of the database itself."""
    question = "SELECT value_json FROM trial_user_attributes WHERE key = 'index'"
    with suppress(psycopg.errors.UndefinedTable), psycopg.connect(address) as connection:
        return Counter(row[0] for row in connection.execute(question))
    return Counter()


@pytest.mark.thorough
def test_a_database_holds_what_a_journal_holds(request_for: Make, address: str, opened: Open, searched: Open) -> None:
    """The same trials, to the last bit."""
    journal = searched(request_for(trials=10, stage=8, folder="journal"))
    database = opened(request_for(trials=10, stage=8, jobs=2, folder="database", address=address))
    run_workers(database, lambda trials, total: None)

    assert outcomes(journal) == outcomes(database)


@pytest.mark.thorough
def test_trials_on_two_machines_whose_workers_are_killed(
    start: Start, tmp_path: Path, address: str, everything: bool, pytestconfig: pytest.Config
) -> None:
    """None lost, none double: each has one record, and both machines have the same leaderboard."""
    trials, kills, jobs = (120, 6, 4) if everything else (24, 2, 1)
    if pytestconfig.getoption("--long"):
        trials, kills = 500, 10
    machines = [start(tmp_path / name, "--trials", str(trials), "--jobs", str(jobs)) for name in "ab"]
    killed = 0
    while any(machine.process.poll() is None for machine in machines):
        time.sleep(0.1)
        if killed < kills and sum(records(address).values()) > trials * 0.08 * killed:
            with suppress(OSError, IndexError):
                os.kill(machines[killed % 2].workers()[killed % jobs], signal.SIGKILL)
                killed += 1

    assert [machine.end() for machine in machines] == [0, 0], [machine.said()[-2000:] for machine in machines]
    assert killed == kills
    assert records(address) == {str(index): 1 for index in range(trials)}
    first, second = (leaderboard(tmp_path / name) for name in "ab")
    assert first == second


@pytest.mark.thorough
def test_a_machine_that_is_gone_leaves_its_trials_to_the_others(start: Start, tmp_path: Path, address: str) -> None:
    """kill -9 of everything there; the other one finishes alone, and publishes."""
    flags = ("--trials", "8", "--jobs", "2", "--epochs", "5", "--seeds", "1")
    gone = start(tmp_path / "gone", *flags)
    gone.wait_until(lambda: records(address), pause=0.1)
    workers = gone.workers()
    gone.kill()
    for worker in workers:
        with suppress(ProcessLookupError):  # It looks after each epoch whether it is alone.
            os.kill(worker, signal.SIGKILL)
    left = start(tmp_path / "left", *flags)

    assert left.end() == 0, left.said()
    assert records(address) == {str(index): 1 for index in range(8)}
    assert "Published in" in left.printed()


@pytest.mark.thorough
def test_one_machine_publishes(start: Start, tmp_path: Path) -> None:
    """Two that share a repository and finish together leave one version."""
    flags = ("--trials", "6", "--jobs", "1", "--seeds", "2")
    machines = [start(tmp_path / "store", *flags, "--study", str(tmp_path / name)) for name in "ab"]

    assert [machine.end() for machine in machines] == [0, 0], [machine.said() for machine in machines]
    assert [entry.name for entry in (tmp_path / "store/penguins").iterdir()] == ["1"]
    published = ["Published already, version 1" in machine.printed() for machine in machines]
    assert sorted(published) == [False, True]


@pytest.mark.thorough
def test_a_server_that_restarts_costs_nothing(cluster: Cluster, start: Start, tmp_path: Path, address: str) -> None:
    """Workers wait for it and claim their trials again; what a dying server took twice counts once."""
    machine = start(tmp_path, "--trials", "16", "--jobs", "2", "--epochs", "5")
    machine.wait_until(lambda: records(address), pause=0.1)
    cluster.stop()
    time.sleep(1)
    cluster.start()

    assert machine.end() == 0, machine.said()
    assert set(records(address)) == {str(index) for index in range(16)}
    assert sorted(int(row["trial"]) for row in leaderboard(tmp_path)) == list(range(16))


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
        (lambda port: "sqlite:///study.db", "--storage, or EVENKEEL_STORAGE, takes postgresql://user@host/database"),
        (lambda port: "study", "--storage, or EVENKEEL_STORAGE, takes postgresql://user@host/database"),
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
