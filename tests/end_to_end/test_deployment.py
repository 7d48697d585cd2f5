"""What stands in `.env.example` and in the compose files, held against the code."""

import re
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from service.processes.capacity import SHARED_BYTES, WORKER_BYTES
from service.processes.server import PATIENCE_SECONDS
from service.settings import Settings, variable

ROOT = Path(__file__).parents[2]
COMPOSE, STACK, HAPROXY = ROOT / "docker-compose.yml", ROOT / "deploy/stack.yml", ROOT / "deploy/haproxy/haproxy.cfg"
COMPOSE_FILES = [COMPOSE, *sorted((ROOT / "deploy").glob("*.yml"))]
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
    found = re.findall(r"^#(\w+)=(.*)$", EXAMPLE, re.MULTILINE)
    return {name: value.strip('"') for name, value in found}


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


def test_a_shell_reads_the_example_as_compose_does(tmp_path: Path) -> None:
    """`docker stack deploy` has what is set from a shell's environment."""
    (tmp_path / "env").write_text(re.sub("^#(?=[A-Z_]+=)", "", EXAMPLE, flags=re.MULTILINE))
    shell = ["bash", "-ec", f"set -a; . {tmp_path}/env; set +a; env --null"]
    run = subprocess.run(shell, env={}, capture_output=True, text=True, check=True)

    read = dict(line.split("=", 1) for line in run.stdout.split("\0") if line)
    assert run.stderr == ""
    assert {name: read.get(name) for name in example()} == example()


@pytest.mark.parametrize("path", [COMPOSE, STACK], ids=lambda path: path.name)
def test_every_setting_reaches_the_service(path: Path) -> None:
    """What is set in `.env` gets into the container; what is not set there is not set inside."""
    passed = re.findall(r"^ +(EVENKEEL_\w+):", path.read_text(), re.MULTILINE)

    assert SETTINGS.keys() <= set(passed)


def test_every_container_is_bounded() -> None:
    """In memory, processes and log files: each service of each compose file."""
    for path in COMPOSE_FILES:
        spelled = ("memory: ", "pids: ") if path == STACK else ("mem_limit: ", "pids_limit: ")
        common, _, services = path.read_text().partition("\nservices:\n")
        for block in re.split(r"^  (?=[a-z-]+:\n)", services, flags=re.MULTILINE):
            if "image:" in block:
                bounds = block + (common if "<<: *" in block else "")
                for bound in (*spelled, "max-size:"):
                    assert bound in bounds, (path.name, block)


def test_limits_fit_together() -> None:
    """Memory has room for the workers; whoever waits for another waits longer than the other takes."""
    defaults, edge = Settings(), HAPROXY.read_text()
    (grace,) = {re.findall(r"stop_grace_period: (\d+)s", path.read_text())[0] for path in (COMPOSE, STACK)}
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


def test_a_changed_file_has_another_name_on_swarm() -> None:
    """Swarm never changes a config: its name has the digest of the file, each time that it stands there."""
    names = re.findall(r"haproxy-(\w+)", STACK.read_text())

    assert set(names) == {sha256(HAPROXY.read_bytes()).hexdigest()[:8]}


def test_a_stack_asks_for_keys() -> None:
    """Swarm publishes on every address: the service has the secret's file, whose name has to be given."""
    stack = STACK.read_text()

    assert "EVENKEEL_API_KEYS_FILE: /run/secrets/keys\n" in stack
    assert "name: ${EVENKEEL_KEYS_SECRET:?" in stack
