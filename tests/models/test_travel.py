"""`export`, `import` and `copy`: versions that move between repositories, and nothing that is half done."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models.__main__ import main
from models.card import ModelCard
from models.errors import InvalidName
from models.repository import ModelRepository


@pytest.fixture
def root(repository: ModelRepository, card: ModelCard) -> Path:
    """A repository of two versions."""
    for content in (b"first", b"second"):
        repository.publish(card, {"model.onnx": content, "report.html": b"<html>"})
    return repository.root


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that should leave with 0, or another code, and return what it said."""

    def run(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        assert main(list(map(str, arguments))) == code
        captured = capsys.readouterr()
        assert captured.err.count("\n") == (code != 0)
        return captured.err if code else captured.out

    return run


Said = Callable[..., str]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_version_goes_through_an_archive(root: Path, tmp_path: Path, said: Said) -> None:
    """Out of one repository and into another: the same bytes under the same number, provenance included."""
    archive, other = tmp_path / "archives/tides-1.tar.gz", tmp_path / "other"
    size = len(content(root))
    exported = said("export", "tides:1", archive, "--repository", root)
    imported = said("import", archive, "--repository", other)

    assert exported == f"tides 1: exported to {archive}, {archive.stat().st_size} bytes\n"
    assert imported == f"tides 1: published in {other}\n"
    assert content(other) == {file: data for file, data in content(root).items() if file.startswith("tides/1/")}
    assert len(content(root)) == size
    assert [path.name for path in archive.parent.iterdir()] == ["tides-1.tar.gz"]


def test_without_a_version_the_serving_one_is_exported(root: Path, tmp_path: Path, said: Said) -> None:
    """As for the other commands."""
    assert said("export", "tides", tmp_path / "a.tar", "--repository", root).startswith("tides 2: ")
    said("promote", "tides", "1", "--repository", root)
    assert said("export", "tides", tmp_path / "a.tar", "--repository", root).startswith("tides 1: ")


def test_an_export_is_the_same_file_each_time(root: Path, tmp_path: Path, said: Said) -> None:
    """It replaces the archive that was there, and two stores of one version give one archive."""
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"
    said("export", "tides:2", first, "--repository", root)
    said("export", "tides:2", first, "--repository", root)
    said("copy", "tides:2", "--from", root, "--to", tmp_path / "other")
    said("export", "tides:2", second, "--repository", tmp_path / "other")

    assert first.read_bytes() == second.read_bytes()


def test_an_import_that_is_repeated_changes_nothing(root: Path, tmp_path: Path, said: Said) -> None:
    """Exit code 0, and it says so."""
    said("export", "tides:1", tmp_path / "a.tar", "--repository", root)
    before = content(root)

    assert said("import", tmp_path / "a.tar", "--repository", root) == f"tides 1: is already in {root}\n"
    assert content(root) == before


def test_a_number_that_is_taken_is_refused_and_the_next_one_is_offered(
    root: Path, tmp_path: Path, said: Said, card: ModelCard
) -> None:
    """Published versions never change; --next publishes the same bytes under the next free number."""
    other = ModelRepository(tmp_path / "other")
    other.publish(card, {"model.onnx": b"another"})
    said("export", "tides:1", tmp_path / "a.tar", "--repository", root)
    before = content(other.root)
    refusal = said("import", tmp_path / "a.tar", "--repository", other.root, code=65)

    assert "holds another version 1 of 'tides', and published versions never change; --next" in refusal
    assert content(other.root) == before
    assert said("import", tmp_path / "a.tar", "--repository", other.root, "--next").startswith("tides 2: published")
    assert other.bundle("tides", 2).files == ModelRepository(root).bundle("tides", 1).files


@pytest.mark.parametrize("harm", ["missing", "altered", "card", "no card", "emptied", "file"])
def test_a_version_that_is_corrupt_is_replaced(root: Path, tmp_path: Path, said: Said, harm: str) -> None:
    """What a disk has lost comes back from an archive, under its number."""
    said("export", "tides:1", tmp_path / "a.tar", "--repository", root)
    before, folder = content(root), root / "tides/1"
    match harm:
        case "missing":
            (folder / "model.onnx").unlink()
        case "altered":
            (folder / "model.onnx").write_bytes(b"f1rst")
        case "card":
            (folder / "card.json").write_bytes((folder / "card.json").read_bytes()[:100])
        case "no card":
            (folder / "card.json").unlink()
        case "emptied":
            shutil.rmtree(folder)
            folder.mkdir()
        case "file":
            shutil.rmtree(folder)
            folder.touch()

    assert said("import", tmp_path / "a.tar", "--repository", root) == f"tides 1: published in {root}\n"
    assert content(root) == before
    assert sorted(path.name for path in (root / "tides").iterdir()) == ["1", "2"]


def test_what_cannot_be_read_is_not_replaced(root: Path, tmp_path: Path, said: Said) -> None:
    """A link in the card's place tells nothing of what is published there."""
    said("export", "tides:1", tmp_path / "a.tar", "--repository", root)
    card = root / "tides/1/card.json"
    card.rename(tmp_path / "card.json")
    card.symlink_to(tmp_path / "card.json")

    assert "cannot be read" in said("import", tmp_path / "a.tar", "--repository", root, code=65)
    assert card.is_symlink()


def test_a_corrupt_version_is_not_exported(root: Path, tmp_path: Path, said: Said) -> None:
    """Nothing is written."""
    (root / "tides/1/model.onnx").write_bytes(b"f1rst")

    assert "differs" in said("export", "tides:1", tmp_path / "a.tar", "--repository", root, code=65)
    assert not (tmp_path / "a.tar").exists()


def test_a_torn_archive_leaves_nothing(root: Path, tmp_path: Path, said: Said) -> None:
    """Not even a folder for the model."""
    archive, other = tmp_path / "a.tar.gz", tmp_path / "other"
    said("export", "tides:1", archive, "--repository", root)
    archive.write_bytes(archive.read_bytes()[:-20])

    assert said("import", archive, "--repository", other, code=65).startswith("models: a.tar.gz: it is torn")
    assert not other.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("export", "waves", "a.tar"), 65, "holds no model 'waves'"),
        (("export", "tides:9", "a.tar"), 65, "holds no version 9"),
        (("export", "tides", "a.zip"), 64, "should end with .tar.zst, .tar.gz or .tar"),
        (("export", "No Name:1", "a.tar"), 64, "is no model name"),
        (("import", "none.tar"), 74, "No such file"),
        (("import", "a.zip"), 64, "should end with"),
        (("copy", "waves", "--to", "other"), 65, "holds no model 'waves'"),
        (("copy", "--all"), 64, "say --from STORE or --to STORE"),
        (("copy", "--all", "--to", "other", "--next"), 64, "leave out --next and --hold"),
    ],
)
def test_a_refusal_is_one_sentence(
    root: Path,
    tmp_path: Path,
    said: Said,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    """And nothing is written."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    assert words in said("--repository", root, *arguments, code=code)
    assert not list((tmp_path / "empty").iterdir())


@pytest.mark.parametrize("arguments", [("export", "tides:x", "a.tar"), ("copy", "--to", "x"), ("import",)])
def test_wrong_usage_leaves_with_64(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="64"):
        main(arguments)


def test_a_folder_in_the_archives_place(root: Path, tmp_path: Path, said: Said) -> None:
    """It stays, and the sentence names it."""
    (tmp_path / "a.tar").mkdir()

    assert "nothing was exported" in said("export", "tides", tmp_path / "a.tar", "--repository", root, code=74)
    assert "Is a directory" in said("import", tmp_path / "a.tar", "--repository", root, code=74)


def test_a_copy_can_wait_to_serve(root: Path, tmp_path: Path, said: Said) -> None:
    """With --hold what serves is pinned first."""
    said("copy", "tides:1", "--from", root, "--to", tmp_path / "production")
    said("copy", "tides:2", "--from", root, "--to", tmp_path / "production", "--hold")

    assert ModelRepository(tmp_path / "production").serving_version("tides") == 1


def test_a_backup_and_back_is_the_same_repository(root: Path, tmp_path: Path, said: Said, card: ModelCard) -> None:
    """All models, all versions, and which of them serve; a second copy copies what is new and no more."""
    ModelRepository(root).publish(card.model_copy(update={"name": "waves"}), {"model.onnx": b"wave"})
    said("promote", "tides", "1", "--repository", root)
    backup = tmp_path / "backup"
    first = said("copy", "--all", "--to", backup, "--repository", root)
    second = said("copy", "--all", "--to", backup, "--repository", root)

    assert content(backup) == content(root)
    assert first.splitlines() == [
        f"tides 1: published in {backup}",
        f"tides: serving.json copied to {backup}",
        f"tides 2: published in {backup}",
        f"waves 1: published in {backup}",
    ]
    assert second.splitlines() == [f"{one}: is already in {backup}" for one in ("tides 1", "tides 2", "waves 1")]
    shutil.rmtree(root)
    said("copy", "--all", "--from", backup, "--to", root)
    assert content(root) == content(backup)


def test_a_corrupt_version_stops_no_backup(root: Path, tmp_path: Path, said: Said) -> None:
    """All others are copied, and the exit code tells; neither the backup nor a newer version is lost."""
    backup = tmp_path / "backup"
    (root / "tides/2/model.onnx").write_bytes(b"sec0nd")
    said("promote", "tides", "1", "--repository", root)

    assert "not: model.onnx of tides version 2 differs" in said(
        "copy", "--all", "--from", root, "--to", backup, code=65
    )
    assert [path.name for path in sorted((backup / "tides").iterdir())] == ["1", "serving.json"]


def test_object_storage_is_no_folder() -> None:
    """For whoever wants one: it would be called `s3:`. The sentence says what reads it."""
    for place in ("s3://bucket/models", "gs://bucket/models"):
        with pytest.raises(InvalidName, match=r"which is no folder; models\.remote\.opened reads it"):
            ModelRepository.from_environment({"EVENKEEL_REPOSITORY": place})
