"""What stands in `.env.example` and in the compose files, held against the code."""

import re
from pathlib import Path

import pytest

from service.processes.capacity import SHARED_BYTES, WORKER_BYTES
from service.processes.server import PATIENCE_SECONDS
from service.settings import Settings, variable

ROOT = Path(__file__).parents[2]
COMPOSE_FILES = [ROOT / "docker-compose.yml", *sorted((ROOT / "deploy").glob("*.yml"))]
EXAMPLE = (ROOT / ".env.example").read_text()
# The containers set these themselves; spans would need the extra `tracing`, which the image does not have.
OWN = {"repository", "host", "port", "tracing"}
SETTINGS = {variable(name): field.default for name, field in Settings.model_fields.items() if name not in OWN}


def compose_defaults() -> dict[str, set[str]]:
    """Each variable of the compose files, with the defaults that they give it."""
    found: dict[str, set[str]] = {}
    for path in COMPOSE_FILES:
        for name, _, default in re.findall(r"\$\{(EVENKEEL_\w+)(:-([^}]*))?", path.read_text()):
            found.setdefault(name, set()).add(default)
    return found


def example() -> dict[str, str]:
    return dict(re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE))


def test_the_example_has_every_variable() -> None:
    """Of the compose files and of the service, and no other."""
    own = {name for name in example() if not name.startswith("AWS_")}
    assert own == compose_defaults().keys() | SETTINGS.keys() | {"COMPOSE_FILE"}
    assert not re.findall(r"^\w", EXAMPLE, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(compose_defaults().keys() | SETTINGS.keys()))
def test_the_example_shows_the_default(name: str) -> None:
    """The compose file's, or else the service's; where there is none, it stays empty or shows a possible value."""
    shown, defaults = example()[name], compose_defaults().get(name, set()) - {""}
    if defaults:
        assert {shown} == defaults
    elif SETTINGS.get(name) not in (None, ""):
        assert shown == str(SETTINGS[name])


def test_what_the_example_shows_is_taken() -> None:
    """Whoever takes the `#` from every line of the service's gets one that starts."""
    taken = Settings.from_environment({name: value for name, value in example().items() if name in SETTINGS})

    assert taken.default_model == "penguins"


def test_every_setting_reaches_the_service() -> None:
    """What is set in `.env` gets into the container; what is not set there is not set inside."""
    text = COMPOSE_FILES[0].read_text()
    passed = re.findall(r"^  (EVENKEEL_\w+):", text[text.index("x-settings") :], re.MULTILINE)

    assert set(passed) == SETTINGS.keys()


def test_every_container_is_bounded() -> None:
    """In memory, processes and log files: each service of each compose file."""
    for path in COMPOSE_FILES:
        common, _, services = path.read_text().partition("\nservices:\n")
        for block in re.split(r"^  (?=[a-z-]+:\n)", services, flags=re.MULTILINE):
            if "image:" in block:
                bounds = block + (common if "*hardening" in block else "")
                for bound in ("mem_limit:", "pids_limit:", "max-size:"):
                    assert bound in bounds, (path.name, block)


def test_limits_fit_together() -> None:
    """Memory has room for the workers; whoever waits for another waits longer than the other takes."""
    defaults, compose, edge = (
        Settings(),
        COMPOSE_FILES[0].read_text(),
        (ROOT / "deploy/haproxy/haproxy.cfg").read_text(),
    )
    (grace,) = re.findall(r"stop_grace_period: (\d+)s", compose)
    (most_drain,) = re.findall(r"^# From 2, .* to (\d+):", EXAMPLE, re.MULTILINE)
    (kept,) = re.findall(r"timeout http-keep-alive (\d+)s", edge)
    (server,) = re.findall(r"timeout server (\d+)s", edge)
    (check,) = re.findall(r"check inter (\d+)ms fall 1", edge)
    (connections,) = re.findall(r"maxconn (\d+)", edge)

    assert defaults.drain_seconds <= int(most_drain) == int(grace) - PATIENCE_SECONDS
    assert 4 * int(check) / 1000 < defaults.drain_seconds
    assert int(kept) < defaults.idle_seconds
    longest = defaults.body_seconds + defaults.deadline_seconds + defaults.run_seconds
    assert longest < int(server)
    assert int(connections) * 2 * (16 << 10) < 256 << 20
    assert SHARED_BYTES + WORKER_BYTES + 16 * defaults.max_body_bytes < 1 << 30
