"""What is watched: rules by promtool, rules and dashboard against a Prometheus that scrapes a real stack."""

import json
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from service.errors import FAILED, REFUSALS
from tests.conftest import find_free_port
from tests.containers.conftest import ROOT, Stack, build, needs_engine
from tests.containers.test_compose import GENTOO

pytestmark = needs_engine

IMAGE = "evenkeel-test-prometheus"
RULES = (ROOT / "deploy/prometheus/rules.yml").read_text()
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/evenkeel.json").read_text())
# By Prometheus itself, for each target; and by a service whose models are in object storage, which this one's are not:
# tests/end_to_end/test_object_storage_served.py.
ELSEWHERE = {"up", "evenkeel_repository_listing_age_seconds"}


@pytest.fixture(scope="module")
def image() -> str:
    return build(Path(__file__).parent / "prometheus", IMAGE)


@pytest.fixture(scope="module")
def stack(empty_stack: Callable[..., Stack], image: str) -> Stack:
    """One replica behind the edge and Debian's Prometheus; Grafana's image is out of reach here."""
    stack = empty_stack(
        COMPOSE_FILE="docker-compose.yml:deploy/edge.yml:deploy/monitoring.yml",
        EVENKEEL_EDGE_IMAGE=build(Path(__file__).parent / "haproxy", "evenkeel-test-haproxy"),
        EVENKEEL_PROMETHEUS_IMAGE=image,
        EVENKEEL_DISK_IMAGE=image,
        EVENKEEL_PROMETHEUS_PORT=str(find_free_port()),
        EVENKEEL_REPLICAS="1",
    )
    stack.compose("build", "service", "trainer")
    stack.train()
    stack.compose("up", "--detach", "service", "edge", "prometheus", "disk")
    stack.wait(lambda: stack.inspect("service")["State"]["Health"]["Status"] == "healthy")
    stack.wait(lambda: len(query(stack, "up == 1")) == 3)
    traffic(stack)
    return stack


def traffic(stack: Stack) -> None:
    """Rows enough for a word on drift, and a refusal; a busy machine may answer later."""
    for body in ({"instances": [GENTOO] * 400}, {"instance": {"island": "Biscoe"}}):
        url = f"http://127.0.0.1:{stack.port}/v1/models/penguins:predict"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=30):
            pass


def ask(stack: Stack, path: str, **parameters: str) -> Any:
    port = stack.environment["EVENKEEL_PROMETHEUS_PORT"]
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.loads(response.read())["data"]


def query(stack: Stack, expression: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = ask(stack, "query", query=expression)["result"]
    except ConnectionError:
        return []
    return found


def targets() -> dict[str, dict[str, str]]:
    """What each line of a panel of the dashboard asks, and what it is called."""
    return {f"{panel['title']} {one['refId']}": one for panel in DASHBOARD["panels"] for one in panel["targets"]}


def expressions() -> dict[str, str]:
    return {title: one["expr"].replace("$__rate_interval", "1m") for title, one in targets().items()}


def test_each_alert_fires_on_what_it_is_about(image: str) -> None:
    """And on nothing else, by promtool."""
    mounts = [f"{ROOT}/deploy/prometheus:/etc/prometheus:ro", f"{Path(__file__).parent}/prometheus:/tests:ro"]
    command = ["docker", "run", "--rm", "--network=none", *(f"--volume={mount}" for mount in mounts), image, "promtool"]
    for check in (["check", "config", "/etc/prometheus/prometheus.yml"], ["test", "rules", "/tests/rules_test.yml"]):
        run = subprocess.run([*command, *check], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_is_tested_and_documented() -> None:
    """Each in the rules' test, and in docs/operations.md with what to do."""
    alerts = re.findall(r"alert: (\w+)", RULES)
    tested = (Path(__file__).parent / "prometheus/rules_test.yml").read_text()
    documented = (ROOT / "docs/operations.md").read_text()

    assert len(alerts) >= 10
    for alert in alerts:
        assert f'alertname="{alert}"' in tested
        assert f"| `{alert}` |" in documented


def test_every_code_word_of_a_fault_counts_as_an_error() -> None:
    """In the alert and in the dashboard: what answers 500 or above through no fault of the client."""
    faults = {refusal.code for refusal in REFUSALS.values() if refusal.status in (500, 503, 504)} | {FAILED}

    for text in (RULES, *(one for title, one in expressions().items() if title.startswith("Answers of 500"))):
        (listed,) = set(re.findall(r'code=~"([^"]+)"', text))
        assert set(listed.split("|")) == faults


def test_what_is_watched_is_there(stack: Stack) -> None:
    """Every metric that a rule or a panel names is exposed by the service, the edge or the disk's exporter."""
    exposed = ask(stack, "metadata").keys() | ELSEWHERE
    prefixes = r"\b((?:evenkeel|haproxy|node|process)_\w+|up)\b"
    named = set(re.findall(prefixes, " ".join(expressions().values())))
    named |= {name for line in RULES.splitlines() for name in re.findall(prefixes, line) if "look:" not in line}
    named = {re.sub("_bucket$", "", name) for name in named}

    assert len(named) > 20
    assert named <= exposed, named - exposed


def test_every_panel_can_be_drawn(stack: Stack) -> None:
    """Each shows something but for those of what has not happened, and calls its lines by labels that they have."""
    lines = targets()
    not_happened = {"Workers that ended A", "Shadow: rows with another label A"}
    expected = lines.keys() - not_happened
    answers: dict[str, list[dict[str, Any]]] = {}

    def all_answer() -> bool:
        # Rates are told from two looks on: what is asked in between counts.
        traffic(stack)
        answers.update((title, found) for title, one in expressions().items() if (found := query(stack, one)))
        return answers.keys() >= expected

    stack.wait(all_answer, lambda: str(expected - answers.keys()))
    for title, answer in answers.items():
        wanted = set(re.findall(r"{{(\w+)}}", lines[title]["legendFormat"]))
        assert all(wanted <= line["metric"].keys() for line in answer), title
        # Several lines have several names.
        assert len(answer) == 1 or wanted, title


def test_the_dashboard_fits_what_grafana_is_told() -> None:
    """No panel lies over another; each asks the data source that is provisioned."""
    provisioned = (ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text()
    (uid,) = re.findall(r"uid: (\w+)", provisioned)
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for one in places
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]

    assert len(cells) == len(set(cells))
    assert all(0 <= x < 24 for x, _ in cells)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
    asked = [panel["datasource"] for panel in DASHBOARD["panels"]] + [one["datasource"] for one in targets().values()]
    assert all(one == {"type": "prometheus", "uid": uid} for one in asked)


def test_a_service_that_is_gone_is_an_alert(stack: Stack) -> None:
    """The rules are those that Prometheus has loaded, and it finds a replica that is stopped."""
    (group,) = ask(stack, "rules")["groups"]

    assert [rule["name"] for rule in group["rules"]] == re.findall(r"alert: (\w+)", RULES)
    assert all(rule["health"] != "err" for rule in group["rules"])
    stack.compose("stop", "service")
    stack.wait(lambda: any(alert["labels"]["alertname"] == "NothingReady" for alert in ask(stack, "alerts")["alerts"]))
