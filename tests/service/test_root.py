"""The path below which a proxy publishes the service."""

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from service.errors import InvalidSetting
from service.http.head import BASE
from service.http.root import Root


def placed(root: str, path: str, **headers: str) -> tuple[str, str]:
    """Root and path of a request, as WSGI has them."""
    environ: dict[str, Any] = BASE | {"PATH_INFO": path} | headers
    Root(root).take_off(environ)
    return environ["SCRIPT_NAME"], environ["PATH_INFO"]


@pytest.mark.parametrize(
    ("path", "within"),
    [
        ("/api/v1/models", "/v1/models"),
        ("/api/v1/models/penguins:predict", "/v1/models/penguins:predict"),
        ("/api/", "/"),
        ("/api", "/"),
        ("/v1/models", "/v1/models"),
        ("/", "/"),
        ("/apis/v1/models", "/apis/v1/models"),
        ("/api/api/predict", "/api/predict"),
        ("/api//predict", "//predict"),
    ],
)
def test_a_proxy_may_take_the_root_off_or_leave_it(path: str, within: str) -> None:
    """Once, and as a whole."""
    assert placed("/api", path) == placed("/api/", path) == ("/api", within)


@pytest.mark.parametrize(
    ("prefix", "root"),
    [
        ("/team/models", "/team/models"),
        ("/api/", "/api"),
        *[(one, "") for one in ("", "/", "//evil.example", "api", '/"><b>', "/a/../b", "/..", "/./a", "/a,/b")],
    ],
)
def test_a_proxy_may_name_the_root(prefix: str, root: str) -> None:
    """Where the header is trusted, and what it says is a path and nothing else; elsewhere it is passed over."""
    assert placed("X-Forwarded-Prefix", "/docs", HTTP_X_FORWARDED_PREFIX=prefix) == (root, "/docs")
    assert placed("X-Forwarded-Prefix", f"{root}/docs", HTTP_X_FORWARDED_PREFIX=prefix) == (root, "/docs")
    assert placed("/api", "/docs", HTTP_X_FORWARDED_PREFIX=prefix) == ("/api", "/docs")


@pytest.mark.parametrize("path", ["api", "//api", "/a/../b", "/a b", "https://x/api", "/", "/v1/models", "/static"])
def test_what_is_no_root_stops_the_start(path: str) -> None:
    with pytest.raises(InvalidSetting, match=r"^EVENKEEL_ROOT_PATH should .*'"):
        Root(path)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_links_below_its_root(client: FlaskClient, path: str) -> None:
    """From the path of the proxy where it is known, else from its own address: never from the root of the host."""
    links = re.compile(r'(?:href|src)="([^"]*)"')
    plain = links.findall(client.get(path).text)
    below = links.findall(client.get(path, environ_overrides={"SCRIPT_NAME": "/api"}).text)

    assert len(plain) > 20
    assert not any(link.startswith("/") for link in plain)
    assert all(link.startswith("/api/") for link in below)
