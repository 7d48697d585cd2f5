"""What the commands and the client of this package refuse beside the trainer and the repository, and exit codes.

ClientError             all that `evenkeel.Client` raises: status, code, details, request id
├── BadInput            the call is wrong, and nothing was sent: an address, a key, a table that cannot be read
├── RefusedByService    the service refuses, and would refuse again
│   ├── KeyRefused      401, 403: no API key, or none for this
│   ├── NotServed       404: no such model or version
│   └── RowsRefused     400, 413, 422: rows that break the card, also where the client sees that itself
└── Unreachable         no answer, or refusals for now (429, 502, 503), for longer than the patience
"""

from collections.abc import Mapping, Sequence
from typing import Any

from models.errors import EvenkeelError, InvalidName, ModelError
from models.terminal import DATA, IO, USAGE
from trainer import errors


class Incomparable(EvenkeelError):
    """Two versions cannot be held against each other on these rows."""


class UnfitRow(EvenkeelError):
    """A row, or what it is held against, is none that the model could answer."""


class ClientError(EvenkeelError):
    """Why a service has given no answer; the message is one sentence for a person.

    :ivar status: the HTTP status, None where nothing came from a service.
    :ivar code: a word for programs: the service's, such as `overloaded`, or the client's, such as `unreachable`.
    :ivar details: at most twenty; of a row `instance`, its place from 0 on, `feature`, `rule` and `message`.
    :ivar request_id: by which the service's log has the request; None where nothing came from a service.
    """

    def __init__(
        self,
        message: str,
        code: str,
        status: int | None = None,
        details: Sequence[Mapping[str, Any]] = (),
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.status, self.request_id = code, status, request_id
        self.details = [dict(detail) for detail in details]


class BadInput(ClientError, ValueError):
    """What a client is given cannot be asked with; nothing was sent."""


class RefusedByService(ClientError):
    """A service refuses what it is asked, and would refuse it again."""


class KeyRefused(RefusedByService):
    """A service asks for an API key, or for another one."""


class NotServed(RefusedByService):
    """A service has no such model, or no such version of it."""


class RowsRefused(RefusedByService):
    """Rows break the card, or are longer than the service takes."""


class Unreachable(ClientError):
    """A service does not answer, or has refused for too long."""


class Unanswered(EvenkeelError):
    """Some rows of a table have no answer; the others are written."""


class DiskRefused(EvenkeelError, OSError):
    """The disk refused to be written or read; the sentence says what is published all the same, if anything is."""


BY_STATUS: dict[int, type[RefusedByService]] = {
    400: RowsRefused,
    401: KeyRefused,
    403: KeyRefused,
    404: NotServed,
    413: RowsRefused,
    422: RowsRefused,
}

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
