"""deploy/stack.yml across three hosts: updated, taken back, emptied and cut off under load."""

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from tests.containers.conftest import ROOT, build, needs_engine
from tests.containers.hosts import Host, hosts, ip, may_be_made
from tests.containers.load import Load
from tests.containers.test_compose import GENTOO
from tests.service.conftest import PUBLISHED

PATIENCE_S = 300.0
PORT = 18080
KEY = "k" * 43
IMAGE, EDGE = "evenkeel-test-hosts", "evenkeel-test-haproxy"

pytestmark = [*needs_engine, pytest.mark.skipif(not may_be_made(), reason="hosts need root, dockerd and ip")]


class Stack:
    """The stack on a swarm of hosts, of which the first manages."""

    def __init__(self, members: list[Host]) -> None:
        self.hosts, self.manager = members, members[0]

    def deploy(self, image: str) -> None:
        names = {"SERVICE_IMAGE": image, "EDGE_IMAGE": EDGE, "KEYS_SECRET": "keys", "PORT": str(PORT), "REPLICAS": "3"}
        # On a machine that is busy a request may wait, which is not what is tested.
        settings = {f"EVENKEEL_{name}": value for name, value in names.items()} | {"EVENKEEL_DEADLINE_SECONDS": "10"}
        command = ["docker", "stack", "deploy", "--compose-file", "deploy/stack.yml", "evenkeel"]
        where = {"DOCKER_HOST": f"unix://{self.manager.folder}/socket"}
        subprocess.run(command, cwd=ROOT, env=os.environ | settings | where, capture_output=True, check=True)

    def update(self, image: str) -> str:
        """How an update has ended: completed or rollback_completed."""
        self.deploy(image)
        self.wait(lambda: "completed" in self.state())
        return self.state()

    def state(self) -> str:
        told = self.manager.docker("service", "inspect", "--format", "{{json .UpdateStatus}}", "evenkeel_service")
        return str((json.loads(told) or {"State": "none"})["State"])

    def running(self, service: str) -> list[tuple[str, str]]:
        """The host and the image of each replica that runs."""
        form = "{{.Node}} {{.Image}} {{.CurrentState}}"
        told = self.manager.docker("service", "ps", "--filter", "desired-state=running", "--format", form, service)
        lines = [line.split() for line in told.splitlines()]
        return [(host, image) for host, image, state, *_ in lines if state == "Running"]

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.manager.docker("service", "ps", "evenkeel_service")
            time.sleep(0.5)

    def wait_for_edges(self) -> None:
        """Until each has replicas that are ready: an edge that has just started knows none for a moment."""
        self.wait(lambda: len(self.running("evenkeel_edge")) == 3)
        for host in self.hosts:
            self.wait(lambda host=host: ready(host))  # type: ignore[misc]

    def load(self, least: int, *edges: Host) -> Load:
        """Clients of the edge of each host."""
        path, addresses = "/v1/models/penguins:predict", [host.address for host in edges]
        return Load(PORT, path, GENTOO, "Gentoo", key=KEY, least=least, hosts=addresses)


def ready(edge: Host) -> bool:
    try:
        with urllib.request.urlopen(f"http://{edge.address}:{PORT}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """On three hosts, each with a copy of the models and of the images: there is no registry."""
    if not pytestconfig.getoption("--long"):
        pytest.skip("three engines take minutes to set up: --long")
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="evk", dir="/var/lib")))
        build(Path(__file__).parent / "haproxy", EDGE)
        command = ["docker", "build", "--quiet", "--target", "service", "--tag", f"{IMAGE}:1", str(ROOT)]
        subprocess.run(command, check=True, capture_output=True)
        for tag, line in (("2", "LABEL release=2"), ("bad", "ENV EVENKEEL_REPOSITORY=/nowhere")):
            (folder / "Dockerfile").write_text(f"FROM {IMAGE}:1\n{line}\nLABEL run={uuid4()}\n")
            build(folder, f"{IMAGE}:{tag}")
        images = [EDGE, *(f"{IMAGE}:{tag}" for tag in ("1", "2", "bad"))]
        subprocess.run(["docker", "save", "--output", f"{folder}/images", *images], check=True)
        stack = Stack(opened.enter_context(hosts(3, folder)))
        first, *others = stack.hosts
        first.docker("swarm", "init", "--advertise-addr", first.address)
        (folder / "keys").write_text(f"predict {KEY}\n")
        first.docker("secret", "create", "keys", f"{folder}/keys")
        for host in others:
            token = first.docker("swarm", "join-token", "--quiet", "worker")
            host.docker("swarm", "join", "--advertise-addr", host.address, "--token", token, f"{first.address}:2377")
        for host in stack.hosts:
            host.docker("load", "--input", f"{folder}/images")
            mounts = (f"--volume={PUBLISHED}:/from:ro", "--volume=evenkeel_models:/var/lib/models")
            host.docker("run", "--rm", *mounts, "--entrypoint=cp", f"{IMAGE}:1", "-r", "/from/.", "/var/lib/models/")
        stack.deploy(f"{IMAGE}:1")
        stack.wait(lambda: len(stack.running("evenkeel_service")) == 3)
        stack.wait_for_edges()
        yield stack


def test_an_update_loses_no_request(stack: Stack, least: int) -> None:
    """At any edge, whichever hosts the replicas are on."""
    with stack.load(least, *stack.hosts) as clients:
        assert stack.update(f"{IMAGE}:2") == "completed"

    assert clients.lost == []
    assert {image for _, image in stack.running("evenkeel_service")} == {f"{IMAGE}:2"}


def test_a_bad_release_is_taken_back(stack: Stack, least: int) -> None:
    """One that never gets ready; no request is lost."""
    with stack.load(least, *stack.hosts) as clients:
        assert stack.update(f"{IMAGE}:bad") == "rollback_completed"

    assert clients.lost == []
    assert {image for _, image in stack.running("evenkeel_service")} == {f"{IMAGE}:2"}


def test_a_host_is_emptied_without_losing_a_request(stack: Stack, least: int) -> None:
    """By the command of the docs; the edges of the others carry on."""
    assert "docker node update --availability drain NODE" in (ROOT / "docs/swarm.md").read_text()
    name = stack.hosts[1].docker("info", "--format", "{{.Name}}")
    with stack.load(least, stack.hosts[0], stack.hosts[2]) as clients:
        stack.manager.docker("node", "update", "--availability", "drain", name)
        stack.wait(lambda: [host != name for host, _ in stack.running("evenkeel_service")] == [True] * 3)
    stack.manager.docker("node", "update", "--availability", "active", name)
    stack.wait_for_edges()

    assert clients.lost == []


def test_a_host_that_is_gone_costs_what_it_had_in_hand(stack: Stack, least: int) -> None:
    """Its cable is cut: what it was asked then gets no answer, and its replicas start elsewhere."""
    names = {host.docker("info", "--format", "{{.Name}}"): host for host in stack.hosts[1:]}
    name = next(name for name, _ in stack.running("evenkeel_service") if name in names)
    last = names[name]
    with stack.load(least, *(host for host in stack.hosts if host != last)) as clients:
        clients.reach(100)
        ip("link", "set", last.link, "down")
        stack.wait(lambda: [host != name for host, _ in stack.running("evenkeel_service")] == [True] * 3)
    ip("link", "set", last.link, "up")

    assert len(clients.lost) <= 8
