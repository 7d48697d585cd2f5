"""Pages of other origins: who may ask, what a browser is told before, and what it may read."""

import asyncio
from pathlib import Path

import pytest

from service.access import Access
from service.app import create_app
from service.errors import InvalidSetting
from service.http.admission import Limits
from service.http.dispatch import Dispatcher
from service.http.origins import Origins
from service.prediction.prediction import Bounds
from service.registry.registry import Registry
from service.settings import LOCAL_HOSTS, Settings
from tests.hostile.conftest import post
from tests.service.conftest import LIMIT
from tests.service.test_dispatch import dispatcher, serve

SHOP, OTHER = "https://shop.example", "https://other.example"
KEYS = "EVENKEEL_API_KEYS_FILE"

Answer = tuple[int, dict[str, str]]


def service(registry: Registry, names: str, access: Access | None = None) -> Dispatcher:
    origins = Origins(Settings(allow_origins=names).allowed_origins)
    limits = Limits(LIMIT, hosts=LOCAL_HOSTS, origins=origins)
    return dispatcher(create_app(registry, Bounds(LIMIT), access=access).wsgi_app, limits, access)


def answers(serving: Dispatcher, *requests: bytes) -> list[Answer]:
    """Status and headers of each request, all on one connection where the service keeps it."""
    found: list[Answer] = []

    async def ask(_: Dispatcher, port: int) -> None:
        for request in requests:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            pairs = [line.lower().partition(": ")[::2] for line in head[1:-1]]
            joined: dict[str, str] = {}
            for name, value in pairs:
                joined[name] = f"{joined[name]}, {value}" if name in joined else value
            found.append((int(head[0].split()[1]), joined))
            writer.close()

    serve(serving, ask)
    return found


def get(path: str, origin: str | None = SHOP) -> bytes:
    named = f"Origin: {origin}\r\n" if origin else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{named}\r\n".encode()


def preflight(path: str, origin: str = SHOP) -> bytes:
    asked = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type,x-api-key"
    return f"OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\n{asked}\r\n\r\n".encode()


def test_a_page_of_an_allowed_origin_may_read_every_answer(registry: Registry) -> None:
    """Of Flask, of the front, and refusals; each is told apart by origin in caches."""
    asked = post(b"{}").replace(b"\r\n", f"\r\nOrigin: {SHOP}\r\n".encode(), 1)
    found = answers(service(registry, SHOP), get("/v1/models"), get("/nowhere"), get("/ping"), asked, asked)

    assert [status for status, _ in found] == [200, 404, 200, 422, 422]
    for _, headers in found:
        assert headers["access-control-allow-origin"] == SHOP
        assert "x-request-id" in headers["access-control-expose-headers"]
        assert "origin" in headers["vary"]


def test_other_origins_and_other_clients_are_told_nothing(registry: Registry) -> None:
    """But that answers differ by origin."""
    found = answers(service(registry, f"{SHOP}, http://a:1"), get("/v1/models", OTHER), get("/v1/models", None))

    assert [status for status, _ in found] == [200, 200]
    assert all("access-control-allow-origin" not in headers for _, headers in found)
    assert all("origin" in headers["vary"] for _, headers in found)


def test_a_preflight_needs_no_key(registry: Registry, tmp_path: Path) -> None:
    """Browsers send none with it. It is answered on every path, the request behind it only with a key."""
    (tmp_path / "keys").write_text(f"predict {'k' * 32}\n")
    serving = service(registry, SHOP, Access(tmp_path / "keys"))
    paths = ("/predict", "/v1/models/penguins:predict", "/v2/models/penguins/infer", "/v1/models", "/nowhere")
    found = answers(serving, *(preflight(path) for path in paths), get("/v1/models"))

    assert [status for status, _ in found] == [204] * len(paths) + [401]
    for _, headers in found[:-1]:
        assert headers["access-control-allow-origin"] == SHOP
        assert headers["access-control-allow-headers"] == "content-type,x-api-key"
        assert "post" in headers["access-control-allow-methods"]


def test_a_preflight_of_another_origin_is_refused(registry: Registry) -> None:
    """Whatever part of an allowed origin it has."""
    others = (OTHER, "http://shop.example", f"{SHOP}:8443", f"{SHOP}.evil", "null")
    found = answers(service(registry, SHOP), *(preflight("/predict", origin) for origin in others))

    assert {status for status, _ in found} == {403}
    assert all("access-control-allow-origin" not in headers for _, headers in found)


def test_any_origin_may_ask_where_all_may(registry: Registry) -> None:
    found = answers(service(registry, "*"), preflight("/predict", OTHER), get("/v1/models", "null"))

    assert [(status, headers["access-control-allow-origin"]) for status, headers in found] == [(204, "*"), (200, "*")]


def test_without_the_setting_no_page_may_ask(registry: Registry) -> None:
    """And no answer has a word of it."""
    serving = dispatcher(create_app(registry, Bounds(LIMIT)).wsgi_app, Limits(LIMIT))
    found = answers(serving, preflight("/predict"), get("/v1/models"))

    assert all(not any(name.startswith("access-control") for name in headers) for _, headers in found)
    assert "origin" not in found[1][1]["vary"]


@pytest.mark.parametrize(
    "value",
    [
        f"{SHOP}/",
        "shop.example",
        "*,https://a",
        "https://*.example",
        "null",
        "HTTPS://a",
        "https://a:443",
        "https://a b",
    ],
)
def test_what_is_no_origin_stops_the_start(value: str) -> None:
    """It would be compared with what browsers never send."""
    with pytest.raises(InvalidSetting, match=r"^EVENKEEL_ALLOW_ORIGINS should have origins .*https://shop\.example"):
        Settings.from_environment({"EVENKEEL_ALLOW_ORIGINS": value})


def test_keys_and_any_origin_do_not_go_together() -> None:
    """Keys are for those who were given one; a page anywhere was not."""
    keyed = {KEYS: "keys"}
    assert Settings.from_environment(keyed | {"EVENKEEL_ALLOW_ORIGINS": f"{SHOP},app://x"}).allowed_origins == {
        SHOP,
        "app://x",
    }
    with pytest.raises(
        InvalidSetting, match="EVENKEEL_ALLOW_ORIGINS should name each origin, with API keys, not '\\*'"
    ):
        Settings.from_environment(keyed | {"EVENKEEL_ALLOW_ORIGINS": "*"})
