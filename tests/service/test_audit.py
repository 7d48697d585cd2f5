"""`replay` and `forget` on the log of a real service."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from models.prediction_log import encoded, log_files, read_log
from models.repository import ModelRepository
from service.__main__ import main
from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.telemetry.journal import Journal, LogRules
from service.telemetry.lines import Privacy
from tests.service.test_prediction_log import ODD, PATIENCE_S

Told = tuple[int, str, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def logged(repository: ModelRepository, folder: Path, record: dict[str, Any]) -> Callable[..., None]:
    """Let a service answer three rows of two requests, and log them; `privacy` keeps some of it back."""

    def answer(privacy: Privacy | None = None) -> None:
        registry = Registry(repository)
        registry.refresh()
        journal = Journal(LogRules(folder, privacy=privacy or Privacy()))
        client: FlaskClient = create_app(registry, Bounds(1 << 20), journal=journal).test_client()
        client.post("/predict", json={"instances": [record, record | ODD]}, headers={"X-Request-Id": "two"})
        client.post("/predict", json={"instance": record | {"year": 1e30}}, headers={"X-Request-Id": "one"})
        journal.feedback("two", 1, "penguins", "Adelie")
        journal.finish(PATIENCE_S)

    return answer


@pytest.fixture
def replay(repository: ModelRepository, folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Told]:
    def run(*flags: str) -> Told:
        code = main(["replay", str(folder), "--repository", str(repository.root), *flags])
        return code, *capsys.readouterr()

    return run


def rewrite(folder: Path, number: int, **fields: Any) -> None:
    """Change fields of a line, and its check with them."""
    (file,) = log_files(folder)
    lines = file.read_bytes().splitlines(keepends=True)
    document = json.loads(lines[number - 1])
    del document["check"]
    lines[number - 1] = encoded(document | fields)
    file.write_bytes(b"".join(lines))


def bits(folder: Path, number: int, ulps: int) -> str:
    """The bits of a line, its first probability so many units further."""
    (file,) = log_files(folder)
    stated = json.loads(file.read_bytes().splitlines()[number - 1])["bits"]
    numbers = np.frombuffer(bytes.fromhex(stated), ">u4").copy()
    numbers[0] += ulps
    return numbers.tobytes().hex()


def test_every_answer_comes_out_the_same(
    logged: Callable[..., None], publish: Callable[..., int], replay: Callable[..., Told]
) -> None:
    """By versions, to the last bit; exit code 0."""
    logged()
    publish()
    logged()
    code, told, errors = replay()

    assert (code, errors) == (0, "")
    assert told.splitlines() == [
        "model     version  equal  near  differs  not kept  gone",
        "penguins        1      3     0        0         0     0",
        "penguins        2      3     0        0         0     0",
        "",
        "6 equal to the last bit",
    ]
    assert json.loads(replay("--json")[1])["equal"] == 6


def test_what_differs_is_named_with_its_line(
    logged: Callable[..., None], replay: Callable[..., Told], folder: Path
) -> None:
    """Other bits, another label, an altered character; exit code 65."""
    logged()
    (file,) = log_files(folder)
    rewrite(folder, 1, bits=bits(folder, 1, 7))
    rewrite(folder, 2, label="Chinstrap")
    file.write_bytes(file.read_bytes().replace(b'"year":1e+30', b'"year":1e+31'))
    code, told, errors = replay()

    assert code == 65
    assert told.splitlines()[-3:] == [
        f"{file}, line 1: differs by 7 units in the last place",
        f"{file}, line 2: the label is not the one of these probabilities",
        f"{file}, line 3: was altered",
    ]
    assert errors == "service: of 3 lines, 2 differ and 1 were altered\n"


@pytest.mark.parametrize("elsewhere", [{"processor": "s390x"}, {"libraries": {"onnxruntime": "1.0"}}])
def test_elsewhere_four_units_are_allowed(
    logged: Callable[..., None], replay: Callable[..., Told], folder: Path, elsewhere: dict[str, Any]
) -> None:
    """On another class of processors, or with another onnxruntime."""
    logged()
    rewrite(folder, 1, bits=bits(folder, 1, 4), **elsewhere)
    rewrite(folder, 2, **elsewhere)
    assert replay()[0] == 0
    assert "1 within 4 units in the last place, from another class of processors" in replay()[1]
    rewrite(folder, 1, bits=bits(folder, 1, 1), **elsewhere)
    assert replay()[0] == 65


def test_a_version_is_found_by_its_card(
    logged: Callable[..., None], replay: Callable[..., Told], repository: ModelRepository
) -> None:
    """Under another number too; where it is gone, that is said, and the exit code is 80."""
    logged()
    folder = repository.root / "penguins"
    (folder / "1").rename(folder / "7")
    assert replay()[0] == 0
    shutil.rmtree(folder / "7")
    code, told, errors = replay()

    assert code == 80
    assert "3 cannot be repeated: the repository does not have the model" in told
    named = f"from {repository.root}; --repository names another"
    assert errors == f"service: of 3 lines, 3 could not be repeated {named}\n"


def test_rows_that_were_not_kept_are_told_as_such(logged: Callable[..., None], replay: Callable[..., Told]) -> None:
    """Neither equal nor different."""
    logged(Privacy({"sex"}))
    logged(Privacy((), {"sex"}, b"0123456789abcdef"))
    code, told, _ = replay()

    assert code == 80
    assert "6 cannot be repeated: a field of the row was dropped or hashed" in told


def test_a_torn_last_line_is_no_lie(logged: Callable[..., None], replay: Callable[..., Told], folder: Path) -> None:
    """It is passed over, with its place."""
    logged()
    (file,) = log_files(folder)
    file.write_bytes(file.read_bytes()[:-9])
    code, told, _ = replay()

    assert code == 0
    assert told.splitlines()[-1] == f"{file}, line 4: is torn off"


def test_where_there_is_no_log_it_says_so(replay: Callable[..., Told], folder: Path) -> None:
    """Exit code 66."""
    assert replay()[0] == 66
    folder.mkdir()
    assert replay()[2] == f"service: {folder} has no prediction log: no file in it ends with .jsonl\n"


def test_one_line_that_is_erased_is_told_as_one(
    logged: Callable[..., None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As docs/audit.md prints it."""
    logged()
    assert main(["forget", str(folder), "one"]) == 0
    assert capsys.readouterr().out == "one: 1 line erased\n"


def test_the_lines_of_a_request_are_erased(
    logged: Callable[..., None], replay: Callable[..., Told], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its answers and labels, also those that were altered; no other line changes or moves, and a service that has the
    file open writes on.
    """
    logged()
    (file,) = log_files(folder)
    with file.open("ab", buffering=0) as writing:
        before = file.read_bytes().splitlines()
        file.write_bytes(file.read_bytes().replace(b'"label":"Gentoo"', b'"label":"Adelie"', 1))
        code = main(["forget", str(folder), "two"])
        writing.write(before[2] + b"\n")
    after = file.read_bytes().splitlines()

    assert (code, capsys.readouterr().out) == (0, "two: 3 lines erased\n")
    assert b"two" not in file.read_bytes()
    assert after[2:] == [before[2], b" " * len(before[3]), before[2]]
    assert [place.number for place, _ in read_log([file])] == [3, 5]
    assert "2 equal to the last bit" in replay()[1]
    assert main(["forget", str(folder), "one", "two"]) == 65
    told = capsys.readouterr()
    assert told.out == "one: 2 lines erased\ntwo: 0 lines erased\n"
    assert told.err == f"service: the log in {folder} has no line of two\n"
