"""What `evenkeel.Client` raises: one tree of errors, each with status, code, details and request id."""

import http.server
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import evenkeel
from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from tests.evenkeel.relay import children, refused, relayed
from tests.service.conftest import GENTOO, PUBLISHED


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running(PUBLISHED, find_free_port()) as service:
        service.wait()
        yield service


@pytest.fixture
def client(service: Service) -> evenkeel.Client:
    return evenkeel.Client(service.url)


def error_of(client: evenkeel.Client, table: Any, kind: type[evenkeel.ClientError]) -> evenkeel.ClientError:
    with pytest.raises(evenkeel.ClientError) as raised:
        client.predict_proba(table)
    assert type(raised.value) is kind, repr(raised.value)
    return raised.value


def test_a_model_that_is_not_served(service: Service) -> None:
    """The service's words, and the id by which its log has the request."""
    error = error_of(evenkeel.Client(service.url, model="walruses"), [GENTOO], evenkeel.NotServed)

    assert (error.status, error.code, error.details) == (404, "model_not_found", [])
    assert error.request_id
    assert str(error).startswith(f"{service.url}: no such model is served")


def test_rows_that_break_the_card(client: evenkeel.Client) -> None:
    """Which row, which feature, which rule: as the service names them, before anything is sent."""
    heavy, nowhere = GENTOO | {"body_mass_g": 1e39}, GENTOO | {"island": None}

    error = error_of(client, [heavy, GENTOO, nowhere], evenkeel.RowsRefused)

    assert (error.status, error.code, error.request_id) == (None, "invalid_record", None)
    assert [(one["instance"], one["feature"], one["rule"]) for one in error.details] == [
        (0, "body_mass_g", "number"),
        (2, "island", "text"),
    ]
    assert error.details[1]["message"] == "must not be missing"
    assert str(error).startswith("the list, row 1, feature 'body_mass_g': '1e+39' does not fit in a 32-bit float; mend")
    many = error_of(client, [GENTOO] * 20_000 + [heavy] * 30, evenkeel.RowsRefused)
    assert [one["instance"] for one in many.details] == [*range(20_000, 20_020)]
    with pytest.warns(evenkeel.EvenkeelWarning, match="2 of 3 rows have no answer"):
        assert client.predict([heavy, GENTOO, nowhere], on_error="null").tolist() == [None, "Gentoo", None]


def test_a_line_of_a_file_is_named(client: evenkeel.Client, penguins: Path, tmp_path: Path) -> None:
    """As the command names it."""
    lines = penguins.read_text().splitlines()
    lines[7] = lines[7].replace(lines[7].split(",")[2], "long")
    (tmp_path / "t.csv").write_text("\n".join(lines))

    assert "t.csv, line 8, feature 'bill_length_mm': 'long' " in str(
        error_of(client, tmp_path / "t.csv", evenkeel.RowsRefused)
    )


def test_a_row_that_is_too_long_for_the_service() -> None:
    """Its status and its word, though the others are taken."""
    with running(PUBLISHED, find_free_port(), EVENKEEL_MAX_BODY_BYTES="3000") as service:
        service.wait()
        rows = [GENTOO] * 50 + [GENTOO | {"island": "x" * 5000}]
        error = error_of(evenkeel.Client(service.url), rows, evenkeel.RowsRefused)

    assert (error.status, error.code) == (413, "body_too_large")
    assert [(one["instance"], one["rule"]) for one in error.details] == [(50, "body_too_large")]
    assert str(error).startswith("the list, row 51: ")


@pytest.mark.parametrize(
    ("table", "code", "said"),
    [
        (7, "invalid_table", "is no table; hand in a pandas, polars or pyarrow table, or a file's path"),
        (
            [GENTOO, 7],
            "invalid_table",
            "the list, row 2: int is no record; hand in a dict with a value for each column",
        ),
        ([{"year": 2007}], "invalid_table", "the list has no column 'island', which penguins was trained on"),
        ([GENTOO, {"year": 1}], "invalid_table", "the list, row 2: the record has no 'island', which the first has"),
        ([GENTOO, GENTOO | {"year": "x"}], "invalid_table", "the list: the values of 'year' have no type in common"),
        ([GENTOO | {"year": [1]}], "invalid_table", "column 'year' holds list"),
        (pd.DataFrame([GENTOO]).drop(columns="sex"), "invalid_table", "the frame has no column 'sex', which penguins"),
        (pd.DataFrame([[1, 2]], columns=["sex", "sex"]), "invalid_table", "columns 1 and 2 are both named 'sex'"),
        ("nosuch.csv", "unreadable", "nosuch.csv: No such file or directory"),
    ],
)
def test_what_is_no_table(client: evenkeel.Client, table: Any, code: str, said: str) -> None:
    """The rule, the place, the way out; nothing was sent, and it is a ValueError too."""
    with pytest.raises(ValueError, match=said) as raised:
        client.predict(table)

    assert isinstance(raised.value, evenkeel.BadInput)
    assert (raised.value.code, raised.value.status, raised.value.request_id) == (code, None, None)


@pytest.mark.parametrize(
    ("url", "given", "said"),
    [
        ("penguins.csv", {}, "'penguins.csv' is no address of a service; it should look like http://127.0.0.1:8080"),
        ("http://x", {"patience": -1}, "-1 seconds of patience cannot be had; it should be 0 or more, such as 60"),
        ("http://x", {"deadline": 0}, "a deadline of 0 seconds has passed; say more than 0"),
        ("http://x", {"key_file": "/nosuch"}, "/nosuch: No such file or directory"),
        ("http://x", {"key_file": __file__}, "should hold an API key and nothing else"),
        ("http://x", {"key": "k\r\nX-Evil: 1"}, "the argument key should hold an API key and nothing else"),
    ],
)
def test_a_client_that_cannot_be(url: str, given: dict[str, Any], said: str) -> None:
    """At once, and not at its first call."""
    with pytest.raises(evenkeel.BadInput) as raised:
        evenkeel.Client(url, **given)
    assert said in str(raised.value)


def test_nobody_is_there(free_port: int) -> None:
    """At once, for the address may be wrong."""
    started = time.monotonic()
    error = error_of(evenkeel.Client(f"http://127.0.0.1:{free_port}"), [GENTOO], evenkeel.Unreachable)

    assert time.monotonic() - started < 5
    assert (error.status, error.code) == (None, "unreachable")
    assert "cannot be reached: connection refused; is it running there?" in str(error)


def test_a_service_of_somebody_else() -> None:
    """What a file server answers is taken for none of ours, whatever its status."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        error = error_of(evenkeel.Client(f"http://127.0.0.1:{server.server_port}"), [GENTOO], evenkeel.RefusedByService)
        server.shutdown()

    assert (error.status, error.code) == (501, "http_501")


def test_it_is_asked_again_when_retry_after_says(
    service: Service, penguins: Path, client: evenkeel.Client, caplog: pytest.LogCaptureFixture
) -> None:
    """The same answers; the log tells of it, and stderr is left alone."""
    expected, refusals = client.predict(penguins).tolist(), {1: 1, 3: 2}
    with relayed(service, lambda number, one: number in refusals and refused(one, refusals[number])) as relay:
        started = time.monotonic()
        with caplog.at_level(logging.WARNING, "evenkeel"):
            assert evenkeel.Client(relay.url).predict(penguins).tolist() == expected

    assert time.monotonic() - started > 3
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "(503); trying again for 60 s" in caplog.text


def test_whoever_goes_on_refusing_is_given_up(service: Service, penguins: Path) -> None:
    """With the last refusal's status and word."""
    with relayed(service, lambda number, one: number > 1 and refused(one, 1)) as relay:
        started = time.monotonic()
        error = error_of(evenkeel.Client(relay.url, patience=2), penguins, evenkeel.Unreachable)

    assert 2 <= time.monotonic() - started < 10
    assert (error.status, error.code) == (503, "overloaded")
    assert "has not answered for 2 seconds; try again later, or say patience with more" in str(error)


def test_a_connection_that_is_cut_is_made_anew(service: Service, penguins: Path, client: evenkeel.Client) -> None:
    """Every second request is lost on its way."""
    expected = client.predict(penguins).tolist()
    with relayed(service, lambda number, _: number % 2 == 0) as relay:
        for _ in range(4):
            assert evenkeel.Client(relay.url).predict(penguins).tolist() == expected
    assert relay.requests > 8


def test_a_client_outlives_its_service(penguins: Path, caplog: pytest.LogCaptureFixture) -> None:
    """kill -9 between two calls, and another at the same address: nobody is told of a connection that has ended."""
    port = find_free_port()
    client = evenkeel.Client(f"http://127.0.0.1:{port}")
    answers = []
    for _ in range(2):
        with running(PUBLISHED, port) as service:
            service.wait()
            answers.append(client.predict(penguins).tolist())
            for pid in [service.process.pid, *children(service.process.pid)]:
                os.kill(pid, signal.SIGKILL)
            service.process.wait()
    assert answers[0] == answers[1]
    assert not caplog.records


def test_a_deadline_ends_a_call(penguins: Path) -> None:
    """However patient the client is, and in words; whether a service that stalls is ready, is said in time too."""
    with running(PUBLISHED, find_free_port()) as service:
        service.wait()
        client = evenkeel.Client(service.url, deadline=1.5)
        assert len(client.predict(penguins)) == 344
        family = [service.process.pid, *children(service.process.pid)]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        started = time.monotonic()
        error = error_of(client, penguins, evenkeel.Unreachable)
        took = time.monotonic() - started
        ready = client.ready(0.5)
        for pid in family:
            os.kill(pid, signal.SIGCONT)

    assert 1.5 <= took < 4
    assert not ready
    assert error.code == "unreachable"
    assert "has not answered before the deadline; try again later, or say a later deadline: " in str(error)
    assert "no answer in time" in str(error)
