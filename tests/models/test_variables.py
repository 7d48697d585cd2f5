"""Variables that name a repository and its cache, as every program reads them."""

from pathlib import Path

import pytest

from models import variables
from models.errors import InvalidName
from models.remote import opened


@pytest.mark.parametrize("name", [variables.REPOSITORY, variables.CACHE])
@pytest.mark.parametrize("value", [" ", "models ", "a\nb", "a\0b", "http://x/y", "FILE", "FILE/in", "x" * 5000])
def test_what_is_no_place_is_refused_by_name(tmp_path: Path, name: str, value: str) -> None:
    """Before anything is written there, and with no more of it than a line."""
    (tmp_path / "file").touch()
    given = {variables.REPOSITORY: "s3://bucket/models"} | {name: value.replace("FILE", str(tmp_path / "file"))}
    with pytest.raises(InvalidName, match=f"^{name} .*, not '.*'$") as refused:
        opened(None, given)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "ten", "1_0", "16777217", "9" * 30])
def test_a_cache_of_no_size_is_refused_by_name(value: str) -> None:
    given = {variables.REPOSITORY: "s3://bucket/models", variables.CACHE_MEGABYTES: value}
    with pytest.raises(
        InvalidName, match=f"^EVENKEEL_CACHE_MEGABYTES should be a whole number .*, not '{value[:64]}'$"
    ):
        opened(None, given)


@pytest.mark.parametrize(
    "value",
    [
        "s3://key:secret@bucket/models\n",
        "s3://key:se/secret@bucket/models",
        "s3:/key:secret@bucket",
        "s3://k:a/secret@b?x",
    ],
)
def test_what_opens_a_storage_is_not_shown(value: str) -> None:
    """Not even where the rest of the value is wrong too, or a key has slashes."""
    with pytest.raises(InvalidName) as refused:
        opened(None, {variables.REPOSITORY: value})
    assert "secret" not in str(refused.value)


def test_a_folder_that_is_still_to_be_made_is_taken(tmp_path: Path) -> None:
    assert opened(None, {variables.REPOSITORY: str(tmp_path / "new")}).place == tmp_path / "new"
    assert opened(None, {variables.REPOSITORY: ""}).place == Path("models/store")
