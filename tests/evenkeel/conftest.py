"""The penguins with two versions of a model, and the commands of this package."""

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from evenkeel.commands.compare import add_compare
from evenkeel.commands.evaluate import add_evaluate
from evenkeel.commands.explain import add_explain
from evenkeel.commands.predict import add_predict
from evenkeel.commands.report import add_report
from evenkeel.errors import EXIT_CODES
from models.card import ModelCard
from models.repository import ModelRepository
from models.terminal import CommandLine, run
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from trainer.command_line import main


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it said."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
# What predict adds to each row.
OURS = ["label", "probability", "probability_Adelie", "probability_Chinstrap", "probability_Gentoo", "warnings"]


def rows_of(text: str) -> list[dict[str, str]]:
    """The rows of a scored file, by the names of its columns."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(scope="session")
def repository(penguins: Path, tmp_path_factory: pytest.TempPathFactory) -> ModelRepository:
    """Version 1 has had a moment and lacks a column; version 2 is trained as usual."""
    root = tmp_path_factory.mktemp("store")
    fit = ["fit", str(penguins), "--target", "species", "--name", "penguins", "--repository", str(root)]
    assert main([*fit, "--epochs", "1", "--members", "1", "--learning-rate", "1e-4", "--drop", "sex"]) == 0
    assert main([*fit, "--epochs", "20", "--members", "2"]) == 0
    return ModelRepository(root)


@pytest.fixture(scope="session")
def card(repository: ModelRepository) -> ModelCard:
    return repository.card("penguins", 2)


@pytest.fixture
def command(repository: ModelRepository, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command as the console does."""

    def execute(*arguments: str) -> Ended:
        parser = CommandLine(prog="evenkeel")
        commands = parser.add_subparsers(required=True)
        add_evaluate(commands)
        add_explain(commands)
        add_compare(commands)
        add_predict(commands)
        add_report(commands)
        options = parser.parse_args([str(one) for one in arguments])
        capsys.readouterr()
        code = run("evenkeel", lambda: options.command(repository, options), EXIT_CODES)
        return Ended(code, *capsys.readouterr())

    return execute


@pytest.fixture
def predict(command: Command) -> Command:
    """Score by the model of penguins; other tests publish others beside it."""
    return lambda *arguments: command("predict", *arguments, "--model", "penguins")


@pytest.fixture
def later(penguins: Path, tmp_path: Path) -> Path:
    """Rows of the example in another order, each with a column that no model knows, one without its class."""
    header, *lines = penguins.read_text().splitlines()
    path = tmp_path / "later.csv"
    lost = lines[-1].split(",", 1)[1]
    seen = [f"{line},{number}" for number, line in enumerate(reversed(lines))]
    path.write_text("\n".join([f"{header},seen", *seen, f",{lost},0"]))
    return path


@pytest.fixture(scope="module")
def shared(repository: ModelRepository) -> Iterator[Service]:
    # However busy the machine is, no request waits for its turn for so long that it is refused, and said to be.
    settings = {"EVENKEEL_DEFAULT_MODEL": "penguins", "EVENKEEL_DEADLINE_SECONDS": "20"}
    with running(repository.root, find_free_port(), None, **settings) as service:
        service.wait()
        # A version that does not serve is loaded after the service is ready.
        service.wait("/v1/models/penguins/versions/1")
        yield service


@pytest.fixture
def table(penguins: Path, tmp_path: Path) -> Path:
    """The penguins sixty times: some blocks, and a good many requests."""
    header, *lines = penguins.read_text().splitlines()
    table = tmp_path / "table.csv"
    table.write_text("\n".join([header, *lines * 60]))
    return table


@pytest.fixture
def expected(command: Command, table: Path, tmp_path: Path) -> bytes:
    """What the command writes without a service."""
    output = tmp_path / "expected.csv"
    assert command("predict", table, "--model", "penguins", "-o", output).code == 0
    return output.read_bytes()
