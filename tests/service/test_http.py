import gzip
import io
import json
import logging
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.repository import ModelRepository
from service.app import create_app
from service.prediction.prediction import Bounds
from service.prediction.predictor import Predictor
from service.registry.registry import Registry

LIMIT = 4096  # as tests/service/conftest.py sets it


def post(client: FlaskClient, body: bytes, **options: Any) -> Any:
    return client.post("/predict", data=body, **({"content_type": "application/json"} | options))


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", None]
)
def test_json_is_read(client: FlaskClient, content_type: str | None) -> None:
    """Declared with or without parameters, or not at all."""
    assert post(client, b"{}", content_type=content_type).status_code == 422


@pytest.mark.parametrize(
    "options",
    [
        {"content_type": "application/x-www-form-urlencoded"},
        {"content_type": "text/plain"},
        {"content_type": "multipart/form-data; boundary=x"},
        {"headers": {"Content-Encoding": "br"}},
    ],
)
def test_other_media_are_refused_with_the_way_out(client: FlaskClient, options: dict[str, Any]) -> None:
    """curl's own default among them."""
    response = post(client, b"{}", **options)

    assert response.status_code == 415
    assert response.json["code"] == "unsupported_media"
    assert "Content-" in response.json["error"]


def test_the_limit_is_exact(client: FlaskClient) -> None:
    """A body of the limit is read, one byte more is refused, with or without an announced length."""
    assert post(client, b" " * LIMIT).status_code == 400
    assert post(client, b" " * (LIMIT + 1)).status_code == 413
    for size, status in ((LIMIT, 400), (LIMIT + 1, 413)):
        stream = {"wsgi.input": io.BytesIO(b" " * size), "wsgi.input_terminated": True}
        assert post(client, b"", environ_overrides=stream | {"CONTENT_LENGTH": ""}).status_code == status


def test_a_valid_body_is_not_cut_at_the_limit(client: FlaskClient) -> None:
    """JSON up to the limit and garbage beyond it is refused, not half read."""
    body = b"{}" + b" " * (LIMIT - 2) + b"garbage"
    stream = {"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""}

    assert post(client, b"", environ_overrides=stream).status_code == 413


def test_a_body_that_ends_early_is_refused(client: FlaskClient) -> None:
    """Ten bytes announced, three sent."""
    response = post(client, b"", environ_overrides={"wsgi.input": io.BytesIO(b"{ }"), "CONTENT_LENGTH": "10"})

    assert response.status_code == 400
    assert "ended after 3 of 10 bytes" in response.json["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/console", 404, "not_found"),
        ("GET", "/predict", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/penguins", 405, "method_not_allowed"),
    ],
)
def test_routes_that_are_none_answer_in_json(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    """With the error body of every other refusal, and Allow where a method is wrong."""
    response = client.open(path, method=method)

    assert (response.status_code, response.content_type) == (status, "application/json")
    assert response.json is not None
    assert set(response.json) == {"error", "code", "details", "request_id"}
    assert response.json["code"] == code
    assert ("Allow" in response.headers) == (status == 405)


def test_a_defect_is_logged_and_not_shown(
    client: FlaskClient, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a request id, the log the traceback."""

    def fail(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(Predictor, "predict", fail)
    response = client.post("/predict", json={"instance": record})

    assert response.status_code == 500
    assert response.json is not None
    assert response.json["code"] == "internal_error"
    assert "secret" not in response.text
    (event,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert event.__dict__["request_id"] == response.json["request_id"]
    assert event.exc_info is not None


@pytest.mark.parametrize(
    ("given", "kept"), [("abc-1.Z_9", True), ("a b", False), ("x" * 65, False), ("é", False), ("", False)]
)
def test_a_request_is_named(client: FlaskClient, given: str, kept: bool) -> None:
    """By its client where the name is a plain word, else by the service."""
    headers = {"X-Request-Id": given.encode("latin-1").decode("latin-1")}
    response = client.get("/nowhere", headers=headers)

    assert response.json is not None
    assert response.headers["X-Request-Id"] == response.json["request_id"]
    assert (response.json["request_id"] == given) is kept


def test_the_page_needs_nothing_foreign(client: FlaskClient) -> None:
    """The shell and every file that it loads come from this service, and name no other place."""
    response = client.get("/")

    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    loaded = set(re.findall(r'(?:href|src)="(static/[^"]+)"', response.text))
    asked, seen = set(loaded), {""}
    while asked:
        seen.add(path := asked.pop())
        with client.get(f"/{path}") as file:
            assert file.status_code == 200
            text = file.get_data(as_text=True).replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|:\s*url\(", text)
        asked |= {f"static/{name}" for name in re.findall(r'^import .* from "\./(.+)";$', text, re.MULTILINE)} - seen
    # Modules that import each other are fetched at once, not one after the other.
    assert seen == loaded | {""}
    assert {"static/page.css", "static/page.js", "static/curve.js"} <= seen


@pytest.mark.parametrize(
    ("encoding", "fold"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("GZIP", gzip.compress)]
)
def test_a_folded_body_is_read(
    client: FlaskClient, record: dict[str, Any], encoding: str, fold: Callable[[bytes], bytes]
) -> None:
    """As the same body unfolded."""
    body = json.dumps({"instance": record}).encode()
    folded = post(client, fold(body), headers={"Content-Encoding": encoding})

    assert folded.status_code == 200
    assert folded.data == post(client, body).data


def test_a_folded_body_is_limited_by_what_it_unfolds_to(client: FlaskClient) -> None:
    """Exactly; and a bomb is not unfolded any further."""
    for size, status in ((LIMIT, 400), (LIMIT + 1, 413), (50_000_000, 413)):
        response = post(client, gzip.compress(b" " * size)[: 10 * LIMIT], headers={"Content-Encoding": "gzip"})
        assert response.status_code == status
    assert post(client, gzip.compress(b" " * 1_000_000), headers={"Content-Encoding": "gzip"}).status_code == 413


@pytest.mark.parametrize(
    "spoil", [lambda b: b"x" + b, lambda b: b[:-1], lambda b: b + b"x", lambda b: b + b, lambda _: b""]
)
def test_a_broken_fold_is_refused(client: FlaskClient, record: dict[str, Any], spoil: Callable[[bytes], bytes]) -> None:
    """Not half read: one whole stream and nothing behind it."""
    body = spoil(gzip.compress(json.dumps({"instance": record}).encode()))
    response = post(client, body, headers={"Content-Encoding": "gzip"})

    assert response.status_code == 400
    assert response.json["code"] == "malformed_json"


def test_no_route_redirects(client: FlaskClient) -> None:
    """Clients of other protocols do not follow."""
    for path in ("/predict/", "/v1//models", "/v2/", "/v2//", "/v1/models/", "/v2/models/penguins/"):
        assert client.get(path).status_code in (200, 404)
        assert client.post(path).status_code in (404, 405)


def test_the_time_of_each_stage_is_told_on_request(client: FlaskClient, record: dict[str, Any]) -> None:
    """In milliseconds, in the Server-Timing header, to who asks with X-Server-Timing."""
    asked = client.post("/predict", json={"instance": record}, headers={"X-Server-Timing": "1"})
    unasked = client.post("/predict", json={"instance": record})

    stages = re.findall(r"(\w+);dur=(\d+\.\d+)", asked.headers["Server-Timing"])
    assert [stage for stage, _ in stages] == ["find", "read", "parse", "infer", "encode"]
    assert all(float(milliseconds) < 1000 for _, milliseconds in stages)
    assert "Server-Timing" not in unasked.headers


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(("given", "kept"), [(TRACE, True), (TRACE.upper(), False), (TRACE + "-x", False)])
@pytest.mark.parametrize("path", ["/predict", "/v1/models"])
def test_the_trace_context_is_passed_through(client: FlaskClient, given: str, kept: bool, path: str) -> None:
    """Where it is well-formed, by predictions and by Flask's own routes."""
    response = client.open(path, method="POST" if path == "/predict" else "GET", headers={"traceparent": given})

    assert response.headers.get("traceparent") == (given if kept else None)


def test_health_has_the_names_of_kubernetes(client: FlaskClient, tmp_path: Path) -> None:
    """The same answers as under the protocol's own names, whether a model is loaded or none is."""
    nothing = create_app(Registry(ModelRepository(tmp_path)), Bounds(LIMIT)).test_client()
    for alias, name in (("/healthz", "/v2/health/live"), ("/readyz", "/v2/health/ready")):
        assert client.get(alias).data == client.get(name).data
        assert nothing.get(alias).status_code == nothing.get(name).status_code

    assert [nothing.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 503]
