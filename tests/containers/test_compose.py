import json
import re
import shlex
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.containers.conftest import ROOT, Stack, needs_engine

README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
GENTOO = {
    "island": "Biscoe",
    "bill_length_mm": 45.1,
    "bill_depth_mm": 14.5,
    "flipper_length_mm": 215,
    "body_mass_g": 5000,
    "sex": "female",
    "year": 2007,
}

pytestmark = needs_engine


@pytest.fixture(scope="module")
def stack(empty_stack: Callable[..., Stack]) -> Stack:
    """The whole thing, as `docker compose up` makes it."""
    stack = empty_stack()
    stack.compose("build")
    stack.compose("up", "--detach")
    stack.wait(lambda: stack.inspect("service")["State"]["Health"]["Status"] == "healthy")
    return stack


def test_up_trains_the_example_and_serves_it(stack: Stack) -> None:
    """Healthy by its own check, and a penguin is told."""
    answer = stack.predict("penguins", GENTOO)

    assert answer["model"] == {"name": "penguins", "version": 1}
    assert answer["prediction"]["label"] == "Gentoo"
    assert stack.inspect("trainer")["State"]["ExitCode"] == 0


def test_up_again_does_not_train_again(stack: Stack) -> None:
    """The example is trained once."""
    stack.compose("up", "--detach")
    stack.wait(lambda: stack.inspect("trainer")["State"]["Status"] == "exited")

    assert "published already, version 1" in stack.compose("logs", "trainer").stdout
    assert stack.predict("penguins", GENTOO)["model"]["version"] == 1


def test_a_users_own_table_is_trained_and_served(stack: Stack) -> None:
    """By the README's command; the running service picks the model up."""
    rows = "\n".join(f"{n},{'even' if n % 2 == 0 else 'odd'},{n % 2}" for n in range(100))
    (stack.tables / "mine.csv").write_text(f"n,parity,y\n{rows}\n")
    command = "docker compose run --rm trainer fit /data/mine.csv --target y --name mine"
    assert command in README
    run = stack.compose(*shlex.split(command)[2:])

    assert "Published in /var/lib/models/mine/1" in run.stdout
    # A worker after the other takes it up, and each connection may meet another one.
    stack.wait(lambda: all("mine" in names_served(stack) for _ in range(20)))
    assert stack.predict("mine", {"n": 3, "parity": "odd"})["prediction"]["label"] == "1"


def test_each_night_the_same_model_is_trained_again(stack: Stack) -> None:
    """By the lines of the docs for cron, which has no terminal: a version more, and never two at once."""
    ((words, line),) = re.findall(
        r"^    FIT=(.*)\n    15 3 \* \* \*  cd /srv/evenkeel && (.*)$", OPERATIONS, re.MULTILINE
    )
    command = f"FIT='{words}'; {line}".replace("nightly", f"nightly-{stack.project}")
    blocker = ["docker", "create", "--name", f"nightly-{stack.project}", "evenkeel-trainer"]
    subprocess.run(blocker, check=True, capture_output=True)
    twice = stack.run("sh", "-c", command)
    subprocess.run(["docker", "rm", f"nightly-{stack.project}"], check=True, capture_output=True)
    night = stack.run("sh", "-c", command)

    assert twice.returncode != 0
    assert "is already in use" in twice.stderr
    assert night.returncode == 0, night.stderr
    assert "Published in /var/lib/models/mine/2" in night.stdout


def test_an_image_tells_what_it_holds(stack: Stack) -> None:
    """By the command of the docs."""
    (command,) = re.findall(r"^(docker compose run .*sbom.cdx.json) > sbom.json$", OPERATIONS, re.MULTILINE)
    listed = json.loads(stack.compose(*shlex.split(command)[2:]).stdout)

    assert "onnxruntime" in {component["name"] for component in listed["components"]}


def names_served(stack: Stack) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{stack.port}/v1/models", timeout=5) as response:
        return [model["name"] for model in json.loads(response.read())["models"]]


def test_what_serves_is_decided_in_a_container_too(stack: Stack) -> None:
    """By the command of the docs; the service, which may not write there, reads the decision."""
    command = "docker compose run --rm models promote penguins 1"
    assert command in (ROOT / "docs/lifecycle.md").read_text()
    stack.compose(*shlex.split(command)[2:])
    listed = stack.compose("run", "--rm", "models").stdout

    assert "pinned" in listed
    assert stack.predict("penguins", GENTOO)["model"]["version"] == 1


def test_a_bad_table_publishes_nothing(stack: Stack) -> None:
    """The exit code of bad data comes out of the container."""
    (stack.tables / "bad.csv").write_text("x,y\n1,a\n2\n")
    run = stack.compose("run", "--rm", "trainer", "fit", "/data/bad.csv", "--target", "y", "--name", "bad", check=False)

    assert run.returncode == 65
    assert "line 3: expected 2 cells, got 1" in run.stdout + run.stderr
    assert "bad" not in names_served(stack)


@pytest.mark.parametrize("service", ["trainer", "service"])
def test_containers_can_do_little(stack: Stack, service: str) -> None:
    """No root, no capability, no new privilege, nothing to write on but /tmp, and nothing to execute there."""
    script = """
import os, pathlib
status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
def writable(path):
    try:
        pathlib.Path(path, "probe").write_text("x")
        return True
    except OSError:
        return False
print(os.getuid(), os.getgid(), int(status["CapBnd"], 16), status["NoNewPrivs"], status["Seccomp"])
print(writable("/app"), writable("/"), writable("/opt/venv"), writable("/tmp"), writable("/var/lib/models"))
mounts = {fields[1]: fields[3].split(",") for fields in map(str.split, open("/proc/mounts"))}
print("ro" in mounts["/"], "noexec" in mounts["/tmp"])
"""
    run = stack.inside(service, script)

    models_writable = service == "trainer"
    assert run.stdout.splitlines() == ["10001 10001 0 1 2", f"False False False True {models_writable}", "True True"]
    if models_writable:
        stack.inside(service, "import os; os.remove('/var/lib/models/probe')")


def test_the_trainer_has_no_network(stack: Stack) -> None:
    """Nothing but loopback."""
    assert stack.inside("trainer", "import socket; print(socket.if_nameindex())").stdout == "[(1, 'lo')]\n"


@pytest.mark.parametrize(
    ("service", "present", "absent"),
    [
        (
            "trainer",
            ["trainer", "models", "onnx", "pyarrow", "obstore", "backports.zstd"],
            ["service", "flask", "onnxruntime", "pip"],
        ),
        (
            "service",
            ["service", "models", "onnxruntime", "flask", "obstore"],
            ["trainer", "onnx", "pyarrow", "rich", "pip", "pytest"],
        ),
    ],
)
def test_each_image_holds_its_own_side(stack: Stack, service: str, present: list[str], absent: list[str]) -> None:
    """And no tool to add the rest."""
    script = f"""
import importlib.util
print([name for name in {present} if not importlib.util.find_spec(name)])
print([name for name in {absent} if importlib.util.find_spec(name)])
"""
    assert stack.inside(service, script).stdout.splitlines() == ["[]", "[]"]


@pytest.mark.parametrize(
    ("service", "commands", "absent"),
    [
        ("trainer", ["inspect", "fit", "search", "lr-find", "babysit", "models"], "serve"),
        ("service", ["serve", "replay", "forget", "models"], "fit"),
    ],
)
def test_each_image_has_the_command(stack: Stack, service: str, commands: list[str], absent: str) -> None:
    """`evenkeel`, with what the image holds; of anything else it says which side is missing."""

    def evenkeel(*arguments: str) -> subprocess.CompletedProcess[str]:
        run = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "evenkeel", service)
        return stack.compose(*run, *arguments, check=False)

    listed, refused = evenkeel("--help"), evenkeel(absent)

    assert re.findall(r"^  ([a-z-]+)  +\w", listed.stdout, re.MULTILINE) == commands
    assert refused.returncode == 64
    assert f"there is no command '{absent}', for the " in refused.stderr
    assert "penguins" in evenkeel("models", "list").stdout


def test_every_line_of_the_example_is_taken(stack: Stack, tmp_path: Path) -> None:
    """All compose files together, with every variable of `.env.example` set, are a project with bounds."""
    (tmp_path / "env").write_text(re.sub("^#(?=[A-Z_]+=)", "", (ROOT / ".env.example").read_text(), flags=re.MULTILINE))
    environment = {name: value for name, value in stack.environment.items() if not name.startswith("EVENKEEL_")}
    command = ["docker", "compose", "--env-file", str(tmp_path / "env"), "config", "--format", "json"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    services = json.loads(run.stdout)["services"]

    assert {"service", "trainer", "edge", "tls", "prometheus", "grafana", "disk"} <= services.keys()
    assert services["service"]["deploy"]["replicas"] == 2
    assert "ports" not in services["service"]
    published = {port["host_ip"] for name in ("edge", "prometheus", "grafana") for port in services[name]["ports"]}
    assert published == {"127.0.0.1"}


def test_only_loopback_reaches_the_service(stack: Stack) -> None:
    """The port is published on 127.0.0.1 and nowhere else."""
    bindings = stack.inspect("service")["NetworkSettings"]["Ports"]["8080/tcp"]

    assert [binding["HostIp"] for binding in bindings] == ["127.0.0.1"]


def test_the_service_ends_in_time_when_told(stack: Stack) -> None:
    """`docker compose stop`: exit code 0, within the grace period, and it comes back with what it served."""
    started = time.monotonic()
    stack.compose("stop", "service")

    assert time.monotonic() - started < 15
    assert stack.inspect("service")["State"]["ExitCode"] == 0
    stack.compose("start", "service")
    stack.wait(lambda: stack.inspect("service")["State"]["Health"]["Status"] == "healthy")
    assert stack.predict("penguins", GENTOO)["prediction"]["label"] == "Gentoo"


def test_the_service_may_come_first(stack: Stack) -> None:
    """On an empty volume, mounted first by the service that may not write to it: the trainer can all the same."""
    stack.compose("down", "--volumes")
    stack.compose("up", "--detach", "service")
    stack.compose("up", "--detach", "trainer")
    stack.wait(lambda: stack.inspect("service")["State"]["Health"]["Status"] == "healthy")

    assert stack.predict("penguins", GENTOO)["prediction"]["label"] == "Gentoo"
