"""The replicas behind the edge: upgraded, scaled and killed under load, on a real engine."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.conftest import ROOT, Stack, build, needs_engine
from tests.containers.load import Load
from tests.containers.test_compose import GENTOO

# Others are testing on the same engine at the same time.
NAME = f"evenkeel-test-upgraded-{os.getpid()}"
OPERATIONS = (ROOT / "docs/operations.md").read_text()

pytestmark = needs_engine


@pytest.fixture(scope="module")
def stack(empty_stack: Callable[..., Stack]) -> Iterator[Stack]:
    """Two replicas, with Debian's HAProxy: a registry with the official image is out of reach here."""
    stack = empty_stack(
        COMPOSE_FILE="docker-compose.yml:deploy/edge.yml",
        EVENKEEL_EDGE_IMAGE=build(Path(__file__).parent / "haproxy", "evenkeel-test-haproxy"),
        EVENKEEL_SERVICE_IMAGE=NAME,
        EVENKEEL_UPGRADE_SECONDS="60",
    )
    stack.compose("build")
    stack.train()
    stack.compose("up", "--detach", "service", "edge")
    stack.wait(lambda: healthy(stack) == 2)
    yield stack
    names = (NAME, f"{NAME}:next", f"{NAME}:previous", f"{NAME}-release")
    stack.run("docker", "image", "rm", "--force", *names)


def healthy(stack: Stack) -> int:
    return sum(replica["State"]["Health"]["Status"] == "healthy" for replica in stack.replicas().values())


def images(stack: Stack) -> set[str]:
    return {replica["Image"] for replica in stack.replicas().values()}


def served() -> str:
    """The image that the name of the service's image means."""
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", NAME]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def tags(name: str) -> list[str]:
    """The images that an upgrade has given tags of a name; the name itself others may be building."""
    names = [f"{name}:next", f"{name}:previous"]
    command = ["docker", "image", "inspect", "--format", "{{.Id}}", *names]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")


def release(tmp_path: Path, lines: str) -> str:
    """An image of another release: the present one with more lines in its Dockerfile."""
    (tmp_path / "Dockerfile").write_text(f"FROM {NAME}\n{lines}\n")
    return build(tmp_path, f"{NAME}-release")


@pytest.fixture
def load(stack: Stack, least: int) -> Load:
    return Load(stack.port, "/v1/models/penguins:predict", GENTOO, "Gentoo", least=least)


def test_an_upgrade_loses_no_request(stack: Stack, load: Load, tmp_path: Path) -> None:
    """Each replica is new afterwards, with the settings of now, and `docker compose up` finds nothing to change."""
    stack.environment["EVENKEEL_VERSIONS"] = "3"
    before, old, usual = images(stack), stack.replicas(), tags("evenkeel-service")
    image = release(tmp_path, "LABEL release=next")
    with load as clients:
        upgraded = stack.run("scripts/upgrade", image)

    assert "\nscripts/upgrade\n" in OPERATIONS
    assert upgraded.returncode == 0, upgraded.stderr
    assert clients.asked >= 2000
    assert clients.lost == []
    assert len(stack.replicas()) == 2
    assert not images(stack) & before
    # Which another project may run.
    assert tags("evenkeel-service") == usual
    assert images(stack) == {served()}
    assert all("EVENKEEL_VERSIONS=3" in replica["Config"]["Env"] for replica in stack.replicas().values())
    assert not stack.replicas().keys() & old.keys()
    running = stack.replicas().keys()
    stack.compose("up", "--detach", "service", "edge")
    assert stack.replicas().keys() == running


@pytest.mark.parametrize(
    "fault", ['ENTRYPOINT ["false"]', "ENV EVENKEEL_REPOSITORY=/nowhere"], ids=["ends", "never ready"]
)
def test_a_bad_image_takes_nobodys_place(
    stack: Stack, load: Load, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old replicas go on, no request meets the new one, and a restart would take the old image."""
    monkeypatch.setitem(stack.environment, "EVENKEEL_UPGRADE_SECONDS", "8")
    before, good = stack.replicas().keys(), served()
    with load as clients:
        upgraded = stack.run("scripts/upgrade", release(tmp_path, fault))

    assert upgraded.returncode == 1
    assert "the new image is not ready" in upgraded.stderr
    assert (clients.lost, stack.replicas().keys(), served()) == ([], before, good)


def test_a_trial_that_is_gone_is_no_good_one(stack: Stack, tmp_path: Path) -> None:
    """Somebody removes the container in which the new image is tried: nobody has seen it ready."""
    before, good = stack.replicas().keys(), served()
    image = release(tmp_path, 'ENTRYPOINT ["sleep", "60"]\nCMD []')
    tried = f'docker ps --quiet --filter "label=com.docker.compose.project={stack.project}" --filter "ancestor={image}"'
    command = f'until one=$({tried}) && [ "$one" ]; do sleep 0.2; done; sleep 2; docker rm --force "$one"'
    with subprocess.Popen(["sh", "-c", command], stdout=subprocess.DEVNULL) as remover:
        upgraded = stack.run("scripts/upgrade", image)
        remover.kill()

    assert upgraded.returncode == 1
    assert "the new image is not ready (gone 0)" in upgraded.stderr
    assert "the image is good" not in upgraded.stdout
    assert (stack.replicas().keys(), served()) == (before, good)


def test_an_image_of_another_project_is_left_alone(stack: Stack) -> None:
    """Its next start would take what was tried here."""
    labels = ["--label", "com.docker.compose.project=other", "--label", "com.docker.compose.service=service"]
    command = ["docker", "run", "--detach", "--rm", *labels, "--entrypoint", "sleep", NAME, "60"]
    other = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    before = (stack.replicas().keys(), tags(NAME))
    try:
        refused = stack.run("scripts/upgrade", NAME)
    finally:
        subprocess.run(["docker", "rm", "--force", other], capture_output=True, check=True)

    assert refused.returncode == 64
    assert refused.stderr.startswith(f"upgrade: the project other runs {NAME} too")
    assert f"put EVENKEEL_SERVICE_IMAGE={stack.project}-service into .env" in refused.stderr
    assert (stack.replicas().keys(), tags(NAME)) == before


@pytest.mark.parametrize("count", ["0", "-1", "17"])
def test_more_replicas_than_the_edge_takes_are_refused(stack: Stack, count: str) -> None:
    """And none, or less; Compose itself takes each of them."""
    stack.environment["EVENKEEL_REPLICAS"] = count
    refused = stack.run("scripts/upgrade", NAME)
    del stack.environment["EVENKEEL_REPLICAS"]

    sentence = f"upgrade: EVENKEEL_REPLICAS should be a whole number from 1 to 16, not '{count}'\n"
    assert (refused.returncode, refused.stderr) == (64, sentence)


def test_scaling_loses_no_request(stack: Stack, load: Load) -> None:
    """From two to four, by the command of the docs, and back."""
    assert "docker compose up --detach --scale service=4" in OPERATIONS
    with load as clients:
        for count in (4, 2):
            stack.compose("up", "--detach", "--scale", f"service={count}", "service")
            stack.wait(lambda count=count: healthy(stack) == count)  # type: ignore[misc]

    assert clients.lost == []


def test_a_change_of_the_edge_loses_no_request(stack: Stack, load: Load) -> None:
    """By the command of the docs, which has HAProxy read its file anew."""
    command = "docker compose kill --signal SIGUSR2 edge"
    assert command in OPERATIONS
    with load as clients:
        for _ in range(2):
            stack.compose(*shlex.split(command)[2:])
            time.sleep(2)

    assert clients.lost == []
    assert stack.inspect("edge")["RestartCount"] == 0


def test_a_killed_replica_comes_back(stack: Stack, load: Load) -> None:
    """kill -9 of its main process: whoever waits for it loses at most what it had in hand, and it is back by itself."""
    container, replica = next(iter(stack.replicas().items()))
    (main,) = children(replica["State"]["Pid"])
    with load as clients:
        time.sleep(1)
        os.kill(main, signal.SIGKILL)
        started = time.monotonic()
        stack.wait(lambda: stack.replicas()[container]["RestartCount"] == 1 and healthy(stack) == 2)
        took = time.monotonic() - started

    print(f"back after {took:.1f} s")
    assert len(clients.lost) <= 8


def test_a_killed_worker_loses_what_it_had_in_hand(stack: Stack, load: Load) -> None:
    """kill -9 of one worker of a replica: another takes its place, and the container goes on."""
    container, replica = next(iter(stack.replicas().items()))
    (main,) = children(replica["State"]["Pid"])
    worker, *_ = children(main)
    with load as clients:
        clients.reach(100)
        os.kill(worker, signal.SIGKILL)
        stack.wait(lambda: worker not in children(main) and len(children(main)) == len({worker, *_}))

    assert stack.replicas()[container]["RestartCount"] == replica["RestartCount"]
    assert len(clients.lost) <= 8


def test_going_back_loses_no_request(stack: Stack, load: Load, tmp_path: Path) -> None:
    """To the release before, by the command of the docs."""
    before = images(stack)
    assert stack.run("scripts/upgrade", release(tmp_path, "LABEL release=after")).returncode == 0
    command = "scripts/upgrade evenkeel-service:previous"
    assert command in OPERATIONS
    with load as clients:
        went_back = stack.run(*command.replace("evenkeel-service", NAME).split())

    assert went_back.returncode == 0, went_back.stderr
    assert clients.lost == []
    assert images(stack) == before


def children(process: int) -> list[int]:
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_the_edge_alone_is_published(stack: Stack) -> None:
    """On loopback; the replicas publish nothing."""
    assert all(not replica["HostConfig"]["PortBindings"] for replica in stack.replicas().values())
    (binding,) = stack.inspect("edge")["NetworkSettings"]["Ports"]["8080/tcp"]

    assert binding["HostIp"] == "127.0.0.1"
