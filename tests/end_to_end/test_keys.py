"""A service that asks for API keys, as real processes."""

import http.client
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.conftest import PATIENCE_S, ROOT, Service
from tests.end_to_end.test_stopping import workers
from tests.service.conftest import GENTOO, PUBLISHED

FIRST, SECOND = "first-" * 6, "second-" * 6


def predict(connection: http.client.HTTPConnection, key: str) -> int:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    connection.request("POST", "/predict", json.dumps({"instance": GENTOO}), headers)
    with connection.getresponse() as response:
        response.read()
        return response.status


def score(service: Service, table: Path, *flags: str, key: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "evenkeel", "predict", str(table), "--url", service.url, *flags]
    variables = {"EVENKEEL_API_KEY": key, "PATH": ""}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def test_keys_are_asked_for_and_rotated(
    serve: Callable[..., Service], penguins: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In every worker; a refused body does not become the next request; no output has a key in it."""
    keys = tmp_path / "keys"
    keys.write_text(f"predict {FIRST}\n")
    service = serve(PUBLISHED, EVENKEEL_API_KEYS_FILE=str(keys), EVENKEEL_WORKERS="2", EVENKEEL_ACCESS_LOG="true")
    service.wait()
    connections = [http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=5) for _ in range(8)]
    asked = [[predict(connection, key) for key in (FIRST, SECOND, FIRST)] for connection in connections]
    assert asked == [[200, 401, 200]] * 8

    keys.write_text(f"predict {SECOND}\n")
    deadline = time.monotonic() + PATIENCE_S
    # A refused connection is opened anew, perhaps by the other worker, which looks at the file at a time of its own.
    while {key: {predict(connection, key) for connection in connections} for key in (FIRST, SECOND)} != {
        FIRST: {401},
        SECOND: {200},
    }:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    (tmp_path / "mine").write_text(f"{SECOND}\n")
    scored = [
        score(service, penguins, "--key-file", str(tmp_path / "mine")),
        score(service, penguins, key=SECOND),
        score(service, penguins),
        score(service, penguins, key=FIRST),
        score(service, penguins, key=f"{SECOND}\nX: y"),
    ]
    assert [process.returncode for process in scored] == [0, 0, 65, 65, 64]
    assert scored[0].stdout == scored[1].stdout
    assert scored[2].stderr.startswith(f"evenkeel: {service.url}: this needs an API key")
    assert scored[4].stderr.startswith("evenkeel: EVENKEEL_API_KEY should hold an API key and nothing else")

    for connection in connections:
        connection.close()
    output = "".join(capfd.readouterr()) + "".join(process.stdout + process.stderr for process in scored)
    assert '"status": 401' in output
    assert "API keys read" in output
    assert not any(key[:12] in output for key in (FIRST, SECOND))


@pytest.mark.thorough
def test_no_key_is_kept_in_memory(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Of many keys that were sent, in either header, once and often, none is found in a worker's memory or in the
    supervisor's, but for what lies in a buffer that was freed and is not yet used again.
    """
    asked = [f"key-{secrets.token_urlsafe(40)}" for _ in range(60)]
    last = f"last-{secrets.token_urlsafe(40)}"
    (tmp_path / "keys").write_text("".join(f"predict {key}\n" for key in (*asked, last)))
    service = serve(PUBLISHED, EVENKEEL_API_KEYS_FILE=str(tmp_path / "keys"), EVENKEEL_ACCESS_LOG="true")
    service.wait()
    (worker,) = workers(service)
    for key, other in ((key, last) for key in asked):
        for sent, times in ((key, 3), (f"{key}x", 1), (other, 3)):
            send_all_ways(service, sent, times)

    processes = (service.process.pid, int(worker))
    found = {process: [key for key in asked if key.encode() in memory] for process, memory in read_memory(processes)}
    assert len(found[service.process.pid]) == 0
    # What keeps keys keeps all of them. How many buffers lie freed depends on how requests and threads take turns: on a
    # quiet machine those of one or two keys, on a busy one of up to nine.
    assert len(found[int(worker)]) <= len(asked) // 4


def send_all_ways(service: Service, key: str, times: int) -> None:
    """To Flask and past it, so that heads are known and so that they are not."""
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=5)
    for header in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        for number in range(times):
            headers = header | {"Content-Type": "application/json"} | ({"X-Request-Id": f"n{number}"} if number else {})
            for method, path, body in (
                ("POST", "/predict", json.dumps({"instance": GENTOO})),
                ("POST", "/predict", "{"),
                ("GET", "/v1/models", None),
                ("GET", "/metrics", None),
            ):
                connection.request(method, path, body, headers)
                with connection.getresponse() as answer:
                    answer.read()
    connection.close()


def read_memory(processes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """All that each process has in memory of its own."""
    for process in processes:
        parts = []
        with Path(f"/proc/{process}/maps").open() as maps, Path(f"/proc/{process}/mem").open("rb", 0) as memory:
            for line in maps:
                place, rights, _, _, inode, *_ = line.split()
                start, end = (int(address, 16) for address in place.split("-"))
                if rights.startswith("rw") and inode == "0":
                    memory.seek(start)
                    parts.append(memory.read(end - start))
        yield process, b"".join(parts)


def test_a_client_without_a_key_gets_to_read_so(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Also one that sends all of a body of a megabyte before it reads."""
    (tmp_path / "keys").write_text(f"predict {FIRST}\n")
    service = serve(PUBLISHED, EVENKEEL_API_KEYS_FILE=str(tmp_path / "keys"))
    service.wait()
    for size in (1 << 10, 1 << 20):
        for _ in range(20):
            connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=5)
            connection.request("POST", "/predict", b" " * size, {"Content-Type": "application/json"})
            with connection.getresponse() as answer:
                assert (answer.status, json.load(answer)["code"]) == (401, "unauthorized")
            connection.close()


def test_a_bad_file_of_keys_stops_the_start(tmp_path: Path) -> None:
    """With one sentence that names the line and not the key; a file that is not there does too."""
    for text, code, sentence in (
        (f"predict {FIRST[:20]}\n", 64, "service: EVENKEEL_API_KEYS_FILE: line 1 should end with a key of"),
        (None, 64, f"service: EVENKEEL_API_KEYS_FILE: {tmp_path}/keys: No such file or directory"),
    ):
        if text is not None:
            (tmp_path / "keys").write_text(text)
        variables = {"EVENKEEL_API_KEYS_FILE": str(tmp_path / "keys"), "EVENKEEL_REPOSITORY": str(PUBLISHED)}
        process = subprocess.run(
            [sys.executable, "-m", "service"], cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        (tmp_path / "keys").unlink(missing_ok=True)

        assert (process.returncode, process.stderr.count("\n")) == (code, 1)
        assert process.stderr.startswith(sentence)
        assert FIRST[:12] not in process.stderr


@pytest.mark.parametrize(
    ("host", "keys", "warned"), [("0.0.0.0", False, 1), ("0.0.0.0", True, 0), ("127.0.0.2", False, 0)]
)
def test_an_open_service_says_so(
    serve: Callable[..., Service],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    host: str,
    keys: bool,
    warned: int,
) -> None:
    """Once, when others than this machine can reach it and no keys are asked for."""
    (tmp_path / "keys").write_text(f"predict {FIRST}\n")
    file = {"EVENKEEL_API_KEYS_FILE": str(tmp_path / "keys")} if keys else {}
    service = serve(PUBLISHED, EVENKEEL_HOST=host, EVENKEEL_WORKERS="2", **file)
    at_host = Service(service.url.replace("127.0.0.1", "127.0.0.2"), service.process)
    at_host.wait()

    assert "".join(capfd.readouterr()).count("whoever reaches this address") == warned
