"""What the commands of this package refuse beside the trainer and the repository, and the exit code of each refusal."""

from models.errors import InvalidName, ModelError
from models.terminal import DATA, USAGE
from trainer import errors


class Incomparable(Exception):
    """Two versions cannot be held against each other on these rows."""


EXIT_CODES: dict[type[Exception], int] = {
    InvalidName: USAGE,
    ModelError: DATA,
    Incomparable: DATA,
    **errors.EXIT_CODES,
}
