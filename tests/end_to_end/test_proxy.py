"""Behind a real nginx, below the path /api/: pages, description, predictions, also for a page of another origin."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.browser import Tab
from tests.end_to_end.conftest import PATIENCE_S, Service, running
from tests.service.conftest import GENTOO, PUBLISHED

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
in_a_browser = pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")

NGINX = """
worker_processes 1;
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  {temporary}
  server {{
    listen 127.0.0.1:{port};
    error_page 502 =503 @not_yet;
    location @not_yet {{ return 503 "{{}}"; }}
    {locations}
  }}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
# As most are set up: nginx takes /api off the path.
TAKEN_OFF = "location /api/ {{ proxy_pass http://{upstream}/; }}"
# Without a path behind the address, the request's own goes on as it is.
LEFT_ON = "location /api {{ proxy_pass http://{upstream}; }}"
NAMED = """location /api {{
  rewrite ^/api/?(.*)$ /$1 break;
  proxy_set_header X-Forwarded-Prefix /api;
  proxy_pass http://{upstream};
}}"""


@contextmanager
def nginx(folder: Path, port: int, locations: str) -> Iterator[None]:
    """A server with these locations."""
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    text = NGINX.format(folder=folder, port=port, locations=locations, temporary=temporary)
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@contextmanager
def behind(folder: Path, port: int, locations: str, settings: dict[str, str]) -> Iterator[Service]:
    """A service, published by nginx; `/api` is a part of the address."""
    own = find_free_port()
    with running(PUBLISHED, own, None, **settings) as service:
        upstream = f"{settings['EVENKEEL_HOST']}:" if "EVENKEEL_HOST" in settings else f"127.0.0.1:{own}"
        with nginx(folder, port, locations.format(upstream=upstream)):
            published = Service(f"http://127.0.0.1:{port}/api", service.process)
            published.wait()
            yield published


WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "taken off": (TAKEN_OFF, {}),
    "left on": (LEFT_ON, {"EVENKEEL_ROOT_PATH": "/api"}),
    "named": (NAMED, {"EVENKEEL_ROOT_PATH": "X-Forwarded-Prefix"}),
}


@pytest.fixture(scope="module", params=WAYS)
def below(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service below a path, whatever the proxy does with the path."""
    locations, settings = WAYS[request.param]
    with behind(tmp_path_factory.mktemp("nginx"), find_free_port(), locations, settings) as service:
        yield service


def test_every_protocol_answers_below_a_path(below: Service) -> None:
    tensors = [
        {"name": "numeric", "datatype": "FP32", "shape": [1, 5], "data": [45.1, 14.5, 215, 5000, 2007]},
        {"name": "categorical", "datatype": "BYTES", "shape": [1, 2], "data": ["Biscoe", "female"]},
    ]

    assert below.ask("/v1/models/penguins:predict", {"instance": GENTOO})[1]["prediction"]["label"] == "Gentoo"
    assert below.ask("/predict", {"instances": [GENTOO] * 2000})[0] == 200
    assert below.ask("/v2/models/penguins/infer", {"inputs": tensors})[1]["outputs"][0]["data"] == ["Gentoo"]
    assert below.ask("/invocations", {"instances": [GENTOO]})[0] == 200
    # Where it lies is where its paths begin.
    assert below.ask("/openapi.json")[1]["servers"] == [{"url": "."}]
    assert below.ask("/nowhere")[1]["code"] == "not_found"


@in_a_browser
@pytest.mark.browser
def test_the_pages_work_below_a_path(below: Service, tab: Tab) -> None:
    """The form and its answer, the way to the other pages, the description and a request from it; nothing is asked for
    outside of the path.
    """
    label = "document.querySelector('.verdict .label')?.textContent"

    # nginx itself sends a path that it takes off with its slash to the one that has it.
    for page in ("", "/", "/?model=penguins"):
        tab.open(below.url + page)
        assert tab.wait(label, lambda text: text not in (None, "…")) in ("Adelie", "Chinstrap", "Gentoo")
    for view in ("Versions", "Card", "API docs"):
        tab.js(f"[...document.querySelectorAll('nav a')].find((one) => one.textContent === '{view}').click()")
        tab.wait(f"document.querySelector('nav a[aria-current=page]')?.textContent === '{view}'")
    tab.wait("document.querySelector('.operations details')")
    tab.js("document.querySelector('.operations details').open = true")
    tab.wait(f"document.querySelector('.samples code').textContent.includes({json.dumps(below.url)})")
    tab.js("document.querySelector('.try button').click()")
    tab.wait("document.querySelector('.reply').textContent.startsWith('200')")
    tab.js("document.querySelector('.brand').click()")
    tab.wait(label, lambda text: text not in (None, "…"))
    asked = {url for url, _ in tab.requests if url.startswith("http")}

    assert len(asked) > 20
    assert {url for url in asked if not url.startswith(below.url)} <= {below.url.removesuffix("/api") + "/favicon.ico"}


def test_a_proxy_may_ask_by_a_unix_socket(tmp_path: Path) -> None:
    """Whatever Host it names: a browser that was led astray (DNS rebinding) does not reach the socket."""
    host = f"unix:{tmp_path}/socket"
    locations = f"proxy_set_header Host shop.example; {TAKEN_OFF}"
    with behind(tmp_path, find_free_port(), locations, {"EVENKEEL_HOST": host}) as service:
        assert service.ask("/predict", {"instance": GENTOO})[1]["prediction"]["label"] == "Gentoo"


@in_a_browser
@pytest.mark.browser
def test_a_browser_lets_a_page_of_an_allowed_origin_ask(browser: Tab, tmp_path: Path) -> None:
    """Through its own preflight; a page of another origin is not even told the status."""
    # To a browser these are two other origins than 127.0.0.1, and nginx answers as all of them.
    port = find_free_port()
    allowed, other = f"http://localhost:{port}", f"http://other.localhost:{port}"
    page = "location /page {{ default_type text/html; return 200 '<title>of another origin</title>'; }}"
    with behind(tmp_path, port, TAKEN_OFF + page, {"EVENKEEL_ALLOW_ORIGINS": allowed}) as service:
        ask = f"""fetch("{service.url}/predict", {{
          method: "POST", headers: {{ "Content-Type": "application/json", "X-Request-Id": "mine" }},
          body: {json.dumps(json.dumps({"instance": GENTOO}))},
        }}).then(async (one) => [one.status, one.headers.get("X-Request-Id"), (await one.json()).prediction.label])
          .catch((error) => error.name)"""
        for origin, answer in ((allowed, [200, "mine", "Gentoo"]), (other, "TypeError")):
            browser.open(f"{origin}/page")
            browser.wait("document.title === 'of another origin'")
            assert browser.js(ask) == answer
