"""Members of a bag in processes of their own, with numba installed: the compiled step gives the same bytes too."""

from pathlib import Path

from models.repository import ModelRepository
from tests.trainer.fits import arguments
from trainer.command_line import main


def test_compiled_steps_give_the_same_bytes(penguins: Path, tmp_path: Path) -> None:
    """A worker takes the compiled step where the one that started it would."""
    for jobs in ("1", "2"):
        flags = ("--members", "2", "--epochs", "3", "--compiled", "true", "--jobs", jobs)
        assert main(arguments(penguins, tmp_path / jobs, *flags)) == 0

    one, two = (ModelRepository(tmp_path / jobs).read("m", 1).onnx for jobs in ("1", "2"))
    assert one == two
