import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from service import access
from service.access import Access, read_keys
from service.app import create_app
from service.errors import InvalidSetting, MissingKey
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.telemetry import logs
from tests.service.conftest import LIMIT

PREDICTS, MEASURES, BOTH, NOBODYS = "predicts-" * 4, "measures-" * 4, "does-both-" * 4, "nobodys-" * 4
PATHS = ("/", "/docs", "/metrics", "/openapi.json", "/v1/models", "/v2/models/penguins", "/nowhere")
SECRETS = (PREDICTS, MEASURES, BOTH, NOBODYS)
TABLE = f"# whose\npredict  {PREDICTS}  # the shop\nmetrics {MEASURES}\n\npredict,metrics {BOTH}\n"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(TABLE)
    return path


@pytest.fixture
def locked(registry: Registry, keys: Path) -> FlaskClient:
    return create_app(registry, Bounds(LIMIT), access_log=True, access=Access(keys)).test_client()


@pytest.fixture
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file is seen by the next request, not after a second."""
    monkeypatch.setattr(access, "LOOK_SECONDS", 0.0)


def status(client: FlaskClient, path: str, key: str, method: str = "GET") -> int:
    return client.open(path, method=method, headers={"X-API-Key": key}).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {PREDICTS}"},
        {"Authorization": f"bearer   {PREDICTS} "},
        {"X-API-Key": PREDICTS},
        {"X-API-Key": BOTH, "Authorization": "Basic cHJveHk6b3du"},
    ],
)
def test_a_key_is_taken_in_either_header(locked: FlaskClient, record: dict[str, Any], headers: dict[str, str]) -> None:
    """As a bearer token, or in X-API-Key beside whatever a proxy keeps in Authorization."""
    assert locked.post("/predict", json={"instance": record}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": NOBODYS},
        {"X-API-Key": PREDICTS[:-1]},
        {"X-API-Key": "é?" * 16},
        {"Authorization": PREDICTS},
        {"Authorization": f"Basic {PREDICTS}"},
        {"Authorization": "Bearer"},
        {"X-API-Key": NOBODYS, "Authorization": f"Bearer {PREDICTS}"},
    ],
)
def test_without_a_known_key_nothing_is_answered(
    locked: FlaskClient, record: dict[str, Any], headers: dict[str, str]
) -> None:
    """401, says how to send one, and with the error body of every refusal."""
    for path, method in (("/predict", "POST"), ("/v1/models", "GET"), ("/metrics", "GET"), ("/nowhere", "PUT")):
        response = locked.open(path, method=method, json={"instance": record}, headers=headers)

        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="evenkeel"')
        assert response.json is not None
        assert response.json["code"] == "unauthorized"


def test_a_key_opens_what_it_is_for(locked: FlaskClient) -> None:
    """Metrics and drift by theirs, all else by that for predictions; 403 names the scope that is missing."""
    assert [status(locked, "/metrics", key) for key in (PREDICTS, MEASURES, BOTH)] == [403, 200, 200]
    drift = "/v1/models/penguins/drift"
    assert [status(locked, drift, key) for key in (PREDICTS, MEASURES, BOTH)] == [403, 200, 200]
    assert [status(locked, "/v1/models", key) for key in (PREDICTS, MEASURES, BOTH)] == [200, 403, 200]
    assert [status(locked, "/predict", key, "POST") for key in (PREDICTS, MEASURES, BOTH)] == [400, 403, 400]
    refused = locked.get("/metrics", headers={"X-API-Key": PREDICTS})
    assert refused.json is not None
    assert (refused.json["code"], "scope metrics" in refused.json["error"]) == ("forbidden", True)


def test_every_route_but_health_and_pages_needs_a_key(registry: Registry, locked: FlaskClient) -> None:
    """Each rule of Flask's map, by each of its methods; a new one needs a key until someone says otherwise."""
    rules = create_app(registry, Bounds(LIMIT)).url_map.iter_rules()
    opened = set()
    for rule in rules:
        path = rule.rule.replace("<parameter:model>", "penguins").replace("<parameter:version>", "1")
        for method in rule.methods or ():
            if locked.open(path, method=method).status_code != 401:
                opened.add(rule.rule)

    assert opened == {
        "/",
        "/docs",
        "/v2/health/live",
        "/v2/health/ready",
        "/healthz",
        "/readyz",
        "/ping",
        "/health",
        "/static/<path:filename>",
    }
    for path in ("/static/../metrics", "/ping/../predict", "/docs/", "/v2/health/live/x", "/static"):
        assert locked.get(path).status_code in (401, 404)


def test_no_cache_keeps_what_a_key_opened(locked: FlaskClient, client: FlaskClient) -> None:
    """A proxy in between would tell it to a client without one; what needs none may be kept."""
    for path in ("/v1/models", "/v1/models/penguins", "/openapi.json", "/metrics", "/nowhere"):
        for headers in ({"X-API-Key": BOTH}, {}):
            assert locked.get(path, headers=headers).headers["Cache-Control"] == "no-store"
        assert "Cache-Control" not in client.get(path).headers
    with locked.get("/static/page.css") as page:
        assert page.headers["Cache-Control"] == "no-cache"


def test_the_pages_tell_nothing_before_a_key_was_typed_in(locked: FlaskClient) -> None:
    """No model, no feature, no example: a shell, the same with a key, which asks for all else with it."""
    for path in ("/", "/?model=penguins", "/docs"):
        page = locked.get(path)
        assert page.status_code == 200
        assert not any(word in page.text for word in ("penguins", "bill_length_mm", "Biscoe"))
        assert page.text == locked.get(path, headers={"X-API-Key": PREDICTS}).text
    for asked in ("/v1/models", "/v1/models/penguins", "/openapi.json"):
        assert locked.get(asked).status_code == 401


@pytest.mark.usefixtures("looks_at_once")
def test_keys_change_without_a_restart(locked: FlaskClient, keys: Path) -> None:
    """A new key beside the old one, then without it: in place, by another file, and at the same length."""
    keys.write_text(f"{TABLE}predict {NOBODYS}\n")
    assert [status(locked, "/v1/models", key) for key in (PREDICTS, NOBODYS)] == [200, 200]

    before = keys.stat()
    new = keys.with_name("new")
    new.write_text(keys.read_text().replace(PREDICTS, PREDICTS[::-1]))
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(keys)
    assert keys.stat().st_size == before.st_size
    assert [status(locked, "/v1/models", key) for key in (PREDICTS, PREDICTS[::-1])] == [401, 200]


def test_the_file_is_looked_at_once_a_second(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests there are."""
    now = 100.0
    monkeypatch.setattr(access, "monotonic", lambda: now)
    guard = Access(keys)
    keys.write_text(f"predict {NOBODYS}\n")

    guard.check({"HTTP_X_API_KEY": PREDICTS})
    now += 0.99
    guard.check({"HTTP_X_API_KEY": PREDICTS})
    now += 0.01
    with pytest.raises(MissingKey):
        guard.check({"HTTP_X_API_KEY": PREDICTS})
    guard.check({"HTTP_X_API_KEY": NOBODYS})


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("predict short\n"), Path.unlink])
@pytest.mark.usefixtures("looks_at_once")
def test_a_broken_file_leaves_the_last_keys(
    locked: FlaskClient,
    keys: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path], object],
) -> None:
    """And is logged once, until it is whole again."""
    spoil(keys)
    assert [status(locked, "/v1/models", PREDICTS) for _ in range(5)] == [200] * 5
    assert [record.levelname for record in caplog.records if record.message == "API keys not read"] == ["ERROR"]

    keys.write_text(f"predict {NOBODYS}\n")
    assert [status(locked, "/v1/models", key) for key in (PREDICTS, NOBODYS)] == [401, 200]


@pytest.mark.usefixtures("looks_at_once")
def test_a_worker_that_starts_on_a_broken_file_lets_nobody_in(registry: Registry, tmp_path: Path) -> None:
    """Until the file is whole; health is told all the same."""
    client = create_app(registry, Bounds(LIMIT), access=Access(tmp_path / "keys")).test_client()
    assert (status(client, "/v1/models", PREDICTS), client.get("/v2/health/ready").status_code) == (401, 200)

    (tmp_path / "keys").write_text(TABLE)
    assert status(client, "/v1/models", PREDICTS) == 200


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "EVENKEEL_API_KEYS_FILE has no key"),
        ("# nothing\n\n", "EVENKEEL_API_KEYS_FILE has no key"),
        (f"{TABLE}{NOBODYS}\n", "line 6 should be a scope, a space and a key"),
        (f"predict {NOBODYS} {PREDICTS}\n", "line 1 should be a scope, a space and a key"),
        (f"{NOBODYS} predict\n", "line 1 should begin with predict, metrics or predict,metrics"),
        (f"predict,admin {NOBODYS}\n", "line 1 should begin with"),
        (f"predict {NOBODYS[:31]}\n", "line 1 should end with a key of 32 to 256 letters, digits and -._~+/="),
        (f"predict {NOBODYS * 9}\n", "line 1 should end with a key of"),
        (f"predict {NOBODYS}é\n", "line 1 should end with a key of"),
        (f"predict {NOBODYS}\x00\n", "line 1 should end with a key of"),
    ],
)
def test_a_bad_file_of_keys_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    """By the number of the line and its rule, without a word of what stands there."""
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(InvalidSetting) as refused:
        read_keys(path)

    assert sentence in str(refused.value)
    assert not any(secret[:16] in str(refused.value) for secret in SECRETS)


def test_other_editors_files_are_read(tmp_path: Path) -> None:
    """With a byte order mark, CRLF, tabs, and comments in whatever encoding."""
    path = tmp_path / "keys"
    path.write_bytes(b"\xef\xbb\xbf# caf\xe9\r\npredict\t" + PREDICTS.encode() + b"\r\nmetrics " + PREDICTS.encode())

    assert [key.scopes for key in read_keys(path).values()] == [{"predict", "metrics"}]


def test_a_line_in_the_log_names_client_and_key(
    locked: FlaskClient, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """By the comment in the file of keys, else by the beginning of its digest, also where nobody knows the key."""
    caplog.set_level(logging.INFO)
    unnamed = "sha256:" + hashlib.sha256(MEASURES.encode()).hexdigest()[:12]
    unknown = "sha256:" + hashlib.sha256(NOBODYS.encode()).hexdigest()[:12]
    sent: tuple[dict[str, str], ...] = (
        {"X-API-Key": PREDICTS},
        {"Authorization": f"Bearer {MEASURES}"},
        {"X-API-Key": NOBODYS},
        {},
    )
    for headers in sent:
        locked.post("/predict", json={"instance": record}, headers=headers, environ_base={"REMOTE_ADDR": "::ffff:1"})
        locked.get("/v1/models", headers=headers, environ_base={"REMOTE_ADDR": "10.0.0.7"})
    lines = [json.loads(logs.JsonLines().format(entry)) for entry in caplog.records if entry.msg == "request"]

    assert [line.get("key") for line in lines[::2]] == ["the shop", unnamed, unknown, None]
    assert [line.get("key") for line in lines[1::2]] == ["the shop", unnamed, unknown, None]
    assert [line["client"] for line in lines] == ["::ffff:1", "10.0.0.7"] * 4


def test_the_description_says_how_keys_are_sent(locked: FlaskClient, client: FlaskClient) -> None:
    """Both headers, for every operation but those that are open, with 401 and 403; without keys not a word of it."""
    described = locked.get("/openapi.json", headers={"X-API-Key": PREDICTS}).json
    assert described is not None
    unlocked = {
        path for path, methods in described["paths"].items() for one in methods.values() if one.get("security") == []
    }

    assert unlocked == {
        *("/", "/docs", "/ping", "/health", "/healthz", "/readyz"),
        *("/v2/health/live", "/v2/health/ready"),
    }
    assert {
        (one["type"], one.get("scheme"), one.get("name")) for one in described["components"]["securitySchemes"].values()
    } == {
        ("http", "bearer", None),
        ("apiKey", None, "X-API-Key"),
    }
    assert described["security"] == [{name: []} for name in described["components"]["securitySchemes"]]
    for path, methods in described["paths"].items():
        for operation in methods.values():
            assert ({"401", "403"} <= set(operation["responses"])) == (path not in unlocked)
    assert not any(word in client.get("/openapi.json").text for word in ("securitySchemes", '"401"', "bearer"))


@pytest.mark.usefixtures("looks_at_once")
def test_no_key_is_ever_told(
    locked: FlaskClient, keys: Path, record: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Not in answers, metrics, descriptions or log, of whatever went well or wrong."""
    caplog.set_level(logging.DEBUG)
    told = []
    for key in SECRETS:
        for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
            told += [locked.get(path, headers=headers) for path in PATHS]
            told.append(locked.post("/predict", json={"instance": record}, headers=headers))
            told.append(locked.post("/predict", data=b"{", headers=headers))
    keys.write_text(f"predict {NOBODYS} {MEASURES}\n")
    told.append(locked.get("/v1/models", headers={"X-API-Key": PREDICTS}))
    text = "\n".join(f"{response.headers} {response.text}" for response in told)
    text += "\n".join(logs.JsonLines().format(entry) for entry in caplog.records)

    assert "API keys not read" in text
    assert {response.status_code for response in told} == {200, 400, 401, 403, 404}
    assert not any(secret[:16] in text for secret in SECRETS)
