"""What this package refuses beside the trainer and the repository, and the exit code of each refusal."""

from models.errors import EvenkeelError, InvalidName, ModelError
from models.terminal import DATA, IO, USAGE
from trainer import errors


class Incomparable(EvenkeelError):
    """Two versions cannot be held against each other on these rows."""


class UnfitRow(EvenkeelError):
    """A row, or what it is held against, is none that the model could answer."""


class RefusedByService(EvenkeelError):
    """A service refuses what it is asked, and would refuse it again."""


class Unreachable(EvenkeelError):
    """A service does not answer, or has refused for too long."""


class Unanswered(EvenkeelError):
    """Some rows of a table have no answer; the others are written."""


class DiskRefused(EvenkeelError, OSError):
    """The disk refused to be written or read; the sentence says what is published all the same, if anything is."""


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
