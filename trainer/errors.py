"""Why a training job refuses, and the exit code of each refusal.

TrainerError
├── InvalidTable        the table cannot be trained on
│   └── LargerThanMemory it takes more memory than it may, and is read whole
├── InvalidSchema       the schema file breaks a rule, or does not fit the table
├── Unreadable          the table or the schema is not there or cannot be read
├── TableChanged        the table was written to while it was read
├── NoRoom              the disk has no room for the rows of a table
├── InvalidSetting      a setting is outside its range
├── Diverged            the loss stopped being finite
├── NoSuggestion        no learning rate stands out
├── DamagedCheckpoint   a checkpoint cannot be read
├── InvalidSpace        a space that cannot be searched
├── UnknownStudy        there is no study of this name
├── OtherStudy          a study was founded with other settings or another table
├── DamagedStudy        a study's records cannot be read
├── StorageUnreachable  the database of a study does not answer
├── WorkerLost          a process that trains for this one has died
├── MissingExtra        a library that only this command needs is not installed
├── NoStatistics        a network that saw no batch was asked for its statistics
├── BelowBaseline       a baseline does as well as the model, and that was not to be published
└── ExportMismatch      the exported graph does not answer as the network does
"""

from models.errors import EvenkeelError, InvalidName
from models.terminal import DATA, IO, NO_INPUT, USAGE


class TrainerError(EvenkeelError):
    """Any refusal by the trainer; the message is one sentence for a person. Nothing is published."""


class InvalidTable(TrainerError, ValueError):
    """The table cannot be trained on."""


class LargerThanMemory(InvalidTable):
    """The table takes more memory than it may where it is read whole."""


class InvalidSchema(TrainerError):
    """The schema file breaks a rule of schemas, or does not fit the table."""


class Unreadable(TrainerError):
    """A file that a job is told to read is not there or cannot be read."""


class TableChanged(TrainerError):
    """The table was written to while it was read."""


class NoRoom(TrainerError):
    """The disk has no room for the rows of a table that is larger than memory."""


class InvalidSetting(TrainerError, ValueError):
    """A setting of the job is outside its range."""


class Diverged(TrainerError):
    """The training loss stopped being a finite number."""


class NoSuggestion(TrainerError):
    """No learning rate stands out from the noise."""


class DamagedCheckpoint(TrainerError):
    """The checkpoint that a run should be taken up from cannot be read."""


class InvalidSpace(TrainerError):
    """A space of hyperparameters that cannot be searched."""


class UnknownStudy(TrainerError):
    """There is no study of this name."""


class OtherStudy(TrainerError):
    """A study of this name was founded with other settings, or on another table."""


class DamagedStudy(TrainerError):
    """The records of a study cannot be read."""


class StorageUnreachable(TrainerError):
    """The database that holds a study does not answer."""


class WorkerLost(TrainerError):
    """A process that trains for this one has died, or in a search one after the other."""


class MissingExtra(TrainerError):
    """A library that only this command needs is not installed."""


class NoStatistics(TrainerError):
    """A batch-norm layer that has seen no batch has no statistics to freeze."""


class BelowBaseline(TrainerError):
    """A baseline does as well as the model, and such a model was not to be published."""


class ExportMismatch(TrainerError):
    """The exported graph and the network disagree by more than the tolerance."""


SOFTWARE = 70
TRY_AGAIN = 75
# Of our own: sysexits.h ends with 78.
NOT_GOOD_ENOUGH = 79

EXIT_CODES: dict[type[Exception], int] = {
    InvalidSetting: USAGE,
    InvalidName: USAGE,
    InvalidTable: DATA,
    InvalidSchema: DATA,
    Unreadable: NO_INPUT,
    TableChanged: TRY_AGAIN,
    NoRoom: IO,
    Diverged: DATA,
    NoSuggestion: DATA,
    DamagedCheckpoint: DATA,
    InvalidSpace: USAGE,
    UnknownStudy: USAGE,
    OtherStudy: USAGE,
    MissingExtra: USAGE,
    DamagedStudy: DATA,
    StorageUnreachable: IO,
    WorkerLost: SOFTWARE,
    BelowBaseline: NOT_GOOD_ENOUGH,
    NoStatistics: SOFTWARE,
    ExportMismatch: SOFTWARE,
    OSError: IO,
}
