"""The tree of all refusals, and what can be wrong with a model on disk.

EvenkeelError             of the three programs; the trainer's and the others' are listed where they stand
├── MissingLibrary        a library is not installed
└── ModelError
    ├── InvalidName      a model name or version that breaks the grammar
    ├── UnknownModel     no such model, or no such version of it
    ├── TakenVersion     a version that is published already, and is another one
    └── CorruptModel     files that contradict the card, or a card that cannot be read
        └── UnreadableModel  files that the system would not read, which says nothing of what is in them
"""

import re


class EvenkeelError(Exception):
    """Any refusal; the message is one sentence for a person, and `code` a word for a program: that of its class."""

    code: str = "evenkeel_error"

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


class EvenkeelWarning(UserWarning):
    """What whoever uses a model, or its answers, should know; nothing is refused."""


class MissingLibrary(EvenkeelError, ImportError):
    """A library is not installed; the sentence names the extra that brings it."""


class ModelError(EvenkeelError):
    """Any refusal by the model repository; the message is one sentence for a person."""


class InvalidName(ModelError):
    """A model name or version breaks the grammar of names."""


class UnknownModel(ModelError):
    """The repository holds no such model, or no such version of it."""


class TakenVersion(ModelError):
    """Another model was published under this version's number; published versions never change."""


class CorruptModel(ModelError):
    """The files of a version contradict its card, or the card cannot be read."""


class UnreadableModel(CorruptModel):
    """The system would not read a file, for a reason that may pass: it says nothing of what is in the file."""
