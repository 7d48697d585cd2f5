"""A file scored through a service: the answers, the limits of a request, refusals and keys."""

from pathlib import Path

import pytest
from pyarrow import parquet

from evenkeel.client import remote
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from tests.evenkeel.conftest import Command
from tests.service.conftest import PUBLISHED


def test_a_service_answers_as_the_file_does(
    command: Command, shared: Service, table: Path, expected: bytes, tmp_path: Path
) -> None:
    """The same bytes, by the version that serves and by one that is named."""
    output = tmp_path / "out.csv"
    ended = command("predict", table, "--url", shared.url, "--model", "penguins", "-o", output)

    assert (ended.code, ended.err) == (0, "")
    assert output.read_bytes() == expected
    older = command("predict", table, "--url", shared.url, "--model", "penguins", "--version", "1")
    assert older.out == command("predict", table, "--model", "penguins", "--version", "1").out != output.read_text()


def test_the_address_comes_from_the_settings(
    command: Command, shared: Service, penguins: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """Where --url says none; and what cannot be reached is named by it."""
    monkeypatch.setenv("EVENKEEL_HOST", "0.0.0.0")
    monkeypatch.setenv("EVENKEEL_PORT", shared.url.rpartition(":")[2])
    assert command("predict", penguins, "--model", "penguins", "--url").code == 0
    monkeypatch.setenv("EVENKEEL_PORT", str(free_port))
    ended = command("predict", penguins, "--model", "penguins", "--url")

    assert ended.code == 74
    assert ended.err == (
        f"evenkeel: http://127.0.0.1:{free_port} cannot be reached: connection refused; is it running there?\n"
    )
    for address in ("ftp://x", "penguins.csv", "http://127.0.0.1:no", "http://"):
        ended = command("predict", penguins, "--url", address)
        assert ended.code == 64
        assert "is no address of a service; it should look like http://127.0.0.1:8080" in ended.err


def test_what_the_service_refuses_is_told_in_its_words(command: Command, shared: Service, penguins: Path) -> None:
    """With the address before them; nothing is tried again."""
    ended = command("predict", penguins, "--url", shared.url, "--model", "walruses")

    assert ended.code == 65
    assert ended.err.startswith(f"evenkeel: {shared.url}: no such model is served")


@pytest.mark.parametrize(
    "limits",
    [
        {"EVENKEEL_MAX_ROWS": "50"},
        {"EVENKEEL_MAX_BODY_BYTES": "3000"},
        {"EVENKEEL_MAX_ANSWER_BYTES": "1500"},
        {"EVENKEEL_MAX_ROWS": "1"},
    ],
)
def test_requests_are_as_long_as_the_service_takes(
    command: Command, repository: ModelRepository, penguins: Path, limits: dict[str, str]
) -> None:
    """Halved until they are taken, and then the same answers."""
    with running(repository.root, find_free_port(), None, **limits) as service:
        service.wait()
        ended = command("predict", penguins, "--url", service.url, "--model", "penguins")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == command("predict", penguins, "--model", "penguins").out


def test_a_row_that_the_service_will_not_take_is_named(
    command: Command, repository: ModelRepository, penguins: Path, tmp_path: Path
) -> None:
    """Its cell alone is longer than a request may be: by line, or without an answer."""
    header, *lines = penguins.read_text().splitlines()
    lines[100] = lines[100].replace("Dream", "x" * 5000).replace("Biscoe", "x" * 5000).replace("Torgersen", "x" * 5000)
    table = tmp_path / "t.csv"
    table.write_text("\n".join([header, *lines]))
    with running(repository.root, find_free_port(), EVENKEEL_MAX_BODY_BYTES="3000") as service:
        service.wait()
        asked = ("predict", table, "--url", service.url, "--model", "penguins")
        stopped, output = command(*asked), tmp_path / "out.parquet"
        going = command(*asked, "--on-error", "null", "-o", output)

    assert stopped.code == 65
    assert "line 102: " in stopped.err
    assert "(413)" in stopped.err
    assert going.code == 80
    assert parquet.read_table(output)["label"].null_count == 1


def test_long_texts_are_sent_a_few_at_a_time(
    command: Command, shared: Service, penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request is longer than a megabyte."""
    header, *lines = penguins.read_text().splitlines()
    table = tmp_path / "t.csv"
    table.write_text("\n".join([header, *(line.replace("Biscoe", "y" * 20_000) for line in lines)]))
    sent = []
    plain = remote.batch

    def watched(*arguments: object) -> tuple[int, bytes]:
        head, body = plain(*arguments)  # type: ignore[arg-type]
        sent.append(len(body))
        return head, body

    monkeypatch.setattr(remote, "batch", watched)
    ended = command("predict", table, "--url", shared.url, "--model", "penguins")

    assert ended.code == 0
    assert ended.out == command("predict", table, "--model", "penguins").out
    assert len([size for size in sent if size <= remote.MOST_BYTES]) >= 4


def test_the_key_comes_from_the_environment_or_a_file(
    command: Command, penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that asks for one refuses without, in its own words."""
    key, keys, own = "k" * 40, tmp_path / "keys", tmp_path / "own"
    keys.write_text(f"predict {key}\n")
    own.write_text(f"{key}\n")
    with running(PUBLISHED, find_free_port(), EVENKEEL_API_KEYS_FILE=str(keys)) as service:
        service.wait()
        asked = ("predict", penguins, "--url", service.url)
        without, by_file = command(*asked), command(*asked, "--key-file", own)
        monkeypatch.setenv("EVENKEEL_API_KEY", key)
        by_environment = command(*asked)
    own.write_text("short")

    assert without.code == 65
    assert "(401)" in without.err
    assert (by_file.code, by_environment.code) == (0, 0)
    assert command(*asked, "--key-file", own).code == 64
