"""The report of a version's training, over HTTP."""

import gzip

from flask.testing import FlaskClient

from models.card import ModelCard
from models.repository import ModelRepository
from service.registry.registry import Registry

PATH = "/v1/models/penguins/versions/{}/report"
HTML = b"<!doctype html><title>r</title><p>" + b"drawn " * 400


def publish_with_report(repository: ModelRepository) -> int:
    model = repository.read("penguins", 1)
    card = ModelCard.model_validate(model.card.model_dump())
    return repository.publish(card, {"model.onnx": model.onnx, "report.html": HTML})


def test_a_report_is_sent_as_it_was_published_and_can_do_nothing(
    repository: ModelRepository, registry: Registry, client: FlaskClient
) -> None:
    """Nothing in it runs or loads anything; only this service's own page may frame it."""
    version = publish_with_report(repository)
    registry.refresh()
    response = client.get(PATH.format(version))

    assert (response.status_code, response.data) == (200, HTML)
    assert response.mimetype == "text/html"
    policy = response.headers["Content-Security-Policy"]
    assert policy == ("default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; sandbox")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_report_the_answer_says_so(client: FlaskClient) -> None:
    """As it does for a version that is not served."""
    response = client.get(PATH.format(1))
    assert response.status_code == 404
    assert response.json is not None
    assert response.json["code"] == "report_not_found"
    assert response.json["error"] == "version 1 of penguins was published without a report"
    unserved = client.get(PATH.format(9))
    assert unserved.json is not None
    assert (unserved.status_code, unserved.json["code"]) == (404, "model_not_found")


def test_a_report_that_was_changed_is_not_shown(
    repository: ModelRepository, registry: Registry, client: FlaskClient
) -> None:
    """It would speak in the model's name."""
    version = publish_with_report(repository)
    registry.refresh()
    (repository.root / f"penguins/{version}/report.html").write_bytes(HTML.replace(b"drawn", b"DRAWN"))
    response = client.get(PATH.format(version))

    assert response.status_code == 404
    assert response.json is not None
    assert "differs from what was published" in response.json["error"]


def test_long_answers_are_compressed_for_those_who_take_them_so(client: FlaskClient) -> None:
    """The same after unfolding; short ones, predictions and other clients' are left alone."""
    for path in ("/v1/models/penguins", "/static/page.css", "/metrics", "/openapi.json"):
        with client.get(path, headers={"Accept-Encoding": "gzip"}) as folded, client.get(path) as plain:
            assert folded.headers["Content-Encoding"] == "gzip"
            assert "Content-Encoding" not in plain.headers
            assert folded.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
            assert int(folded.headers["Content-Length"]) == len(folded.data) < len(plain.data)
            if path != "/metrics":
                assert gzip.decompress(folded.data) == plain.data
    with client.get("/static/page.css", headers={"Accept-Encoding": "gzip"}) as first:
        etag = first.headers["ETag"]
    with client.get("/static/page.css", headers={"Accept-Encoding": "gzip", "If-None-Match": etag}) as again:
        assert again.status_code == 304
    with client.get("/ping", headers={"Accept-Encoding": "gzip"}) as short:
        assert "Content-Encoding" not in short.headers
    with client.get("/static/page.css", headers={"Accept-Encoding": "gzip;q=0"}) as refused:
        assert "Content-Encoding" not in refused.headers


def test_what_two_clients_get_in_different_bytes_is_told_apart(client: FlaskClient) -> None:
    """By what is cached too (RFC 9110, sections 13.1.5, 14.2 and 15.4.5): a 304 says what the 200 would, and nobody
    puts a file together from parts of two.
    """
    packed = {"Accept-Encoding": "gzip"}
    for headers in ({}, packed):
        with client.get("/static/page.css", headers=headers) as whole:
            etag, data = whole.headers["ETag"], whole.data
        with client.get("/static/page.css", headers=headers | {"If-None-Match": etag}) as known:
            assert known.status_code == 304
            assert (known.headers["ETag"], known.headers.get("Vary")) == (etag, "Accept-Encoding")
        for parts in ("bytes=0-9", "bytes=0-9,20-29", "bytes=99999999-"):
            with client.get("/static/page.css", headers=headers | {"Range": parts, "If-Range": etag}) as asked:
                assert (asked.status_code, asked.data) == (200, data)
                assert "Accept-Ranges" not in asked.headers
