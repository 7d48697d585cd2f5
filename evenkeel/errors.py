"""What the commands of this package refuse beside the trainer and the repository, and the exit code of each refusal."""

from models.errors import InvalidName, ModelError
from models.terminal import DATA, IO, USAGE
from trainer import errors


class Incomparable(Exception):
    """Two versions cannot be held against each other on these rows."""


class UnfitRow(Exception):
    """A row, or what it is held against, is none that the model could answer."""


class RefusedByService(Exception):
    """A service refuses what it is asked, and would refuse it again."""


class Unreachable(Exception):
    """A service does not answer, or has refused for too long."""


class Unanswered(Exception):
    """Some rows of a table have no answer; the others are written."""


# Of our own, as the trainer's are: sysexits.h ends with 78.
SOME_UNANSWERED = 80

EXIT_CODES: dict[type[Exception], int] = {
    InvalidName: USAGE,
    ModelError: DATA,
    Incomparable: DATA,
    UnfitRow: DATA,
    RefusedByService: DATA,
    Unreachable: IO,
    Unanswered: SOME_UNANSWERED,
    **errors.EXIT_CODES,
}
