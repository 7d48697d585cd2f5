"""TLS before the edge."""

import contextlib
import http.client
import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.containers.conftest import ROOT, Stack, build, needs_engine
from tests.containers.test_compose import GENTOO

pytestmark = needs_engine

COMPOSE_FILE = "docker-compose.yml:deploy/edge.yml:deploy/tls.yml"
KEY = "k" * 43
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def stack(empty_stack: Callable[..., Stack], tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """With Debian's Caddy and a certificate that Caddy signs itself: a public one cannot be had here."""
    keys = tmp_path_factory.mktemp("keys")
    for folder in (keys, *keys.parents[:2]):
        folder.chmod(0o755)
    (keys / "keys").write_text(f"predict {KEY}\n")
    folder = Path(__file__).parent
    return empty_stack(
        COMPOSE_FILE=COMPOSE_FILE,
        EVENKEEL_EDGE_IMAGE=build(folder / "haproxy", "evenkeel-test-haproxy"),
        EVENKEEL_TLS_IMAGE=build(folder / "caddy", "evenkeel-test-caddy"),
        EVENKEEL_SITE="localhost",
        EVENKEEL_TLS="internal",
        EVENKEEL_KEYS=str(keys),
        EVENKEEL_API_KEYS_FILE="/run/keys/keys",
        EVENKEEL_HTTP_PORT=str(find_free_port()),
        EVENKEEL_HTTPS_PORT=str(find_free_port()),
        EVENKEEL_REPLICAS="1",
    )


def test_what_is_published_asks_for_keys(stack: Stack) -> None:
    """Without a file of keys nothing starts, and the message says what to set."""
    without = {**stack.environment, "EVENKEEL_API_KEYS_FILE": ""}
    refused = subprocess.run(
        ["docker", "compose", "config", "--quiet"], cwd=ROOT, env=without, capture_output=True, text=True, check=False
    )

    assert refused.returncode != 0
    assert "set it to /run/keys/keys" in refused.stderr


def test_the_site_has_tls(stack: Stack) -> None:
    """A certificate of its own authority; what comes without TLS is sent to it; predictions need a key."""
    stack.compose("build", "service", "trainer")
    stack.train()
    stack.compose("up", "--detach", "service", "edge", "tls")
    stack.wait(lambda: stack.inspect("service")["State"]["Health"]["Status"] == "healthy")
    authority = ["exec", "-T", "tls", "cat", "/data/caddy/pki/authorities/local/root.crt"]
    stack.wait(lambda: stack.compose(*authority, check=False).returncode == 0)
    trust = ssl.create_default_context(cadata=stack.compose(*authority).stdout)

    def ask(scheme: str, path: str, body: object = None, **headers: str) -> tuple[int, str, bytes]:
        port = int(stack.environment[f"EVENKEEL_{scheme.upper()}_PORT"])
        connection = (
            http.client.HTTPSConnection("localhost", port, timeout=5, context=trust)
            if scheme == "https"
            else http.client.HTTPConnection("localhost", port, timeout=5)
        )
        with contextlib.closing(connection):
            connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, response.headers.get("Location", ""), response.read()

    stack.wait(lambda: ask("https", "/readyz")[0] == 200)
    status, location, _ = ask("http", "/readyz")
    assert (status, location) == (308, "https://localhost/readyz")
    sent = {"instance": GENTOO}
    assert ask("https", "/predict", sent, **JSON)[0] == 401
    status, _, answer = ask("https", "/predict", sent, **JSON, Authorization=f"Bearer {KEY}")
    assert (status, json.loads(answer)["prediction"]["label"]) == (200, "Gentoo")
