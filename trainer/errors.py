"""Why a training job refuses, and the exit code of each refusal.

TrainerError
├── InvalidTable        the table cannot be trained on
├── InvalidSchema       the schema file breaks a rule, or does not fit the table
├── Unreadable          the table or the schema is not there or cannot be read
├── TableChanged        the table was written to while it was read
├── InvalidSetting      a setting is outside its range
├── Diverged            the loss stopped being finite
├── DamagedCheckpoint   a checkpoint cannot be read
├── NoStatistics        a network that saw no batch was asked for its statistics
└── ExportMismatch      the exported graph does not answer as the network does
"""

from models.errors import InvalidName
from models.terminal import DATA, IO, USAGE


class TrainerError(Exception):
    """Any refusal by the trainer; the message is one sentence for a person. Nothing is published."""


class InvalidTable(TrainerError):
    """The table cannot be trained on."""


class InvalidSchema(TrainerError):
    """The schema file breaks a rule of schemas, or does not fit the table."""


class Unreadable(TrainerError):
    """A file that a job is told to read is not there or cannot be read."""


class TableChanged(TrainerError):
    """The table was written to while it was read."""


class InvalidSetting(TrainerError, ValueError):
    """A setting of the job is outside its range."""


class Diverged(TrainerError):
    """The training loss stopped being a finite number."""


class DamagedCheckpoint(TrainerError):
    """The checkpoint that a run should be taken up from cannot be read."""


class NoStatistics(TrainerError):
    """A batch-norm layer that has seen no batch has no statistics to freeze."""


class ExportMismatch(TrainerError):
    """The exported graph and the network disagree by more than the tolerance."""


NO_INPUT = 66
SOFTWARE = 70
TRY_AGAIN = 75

EXIT_CODES: dict[type[Exception], int] = {
    InvalidSetting: USAGE,
    InvalidName: USAGE,
    InvalidTable: DATA,
    InvalidSchema: DATA,
    Unreadable: NO_INPUT,
    TableChanged: TRY_AGAIN,
    Diverged: DATA,
    DamagedCheckpoint: DATA,
    NoStatistics: SOFTWARE,
    ExportMismatch: SOFTWARE,
    OSError: IO,
}
