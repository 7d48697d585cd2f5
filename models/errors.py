"""What can be wrong with a model on disk.

ModelError
├── InvalidName      a model name or version that breaks the grammar
├── UnknownModel     no such model, or no such version of it
├── TakenVersion     a version that is published already, and is another one
└── CorruptModel     files that contradict the card, or a card that cannot be read
    └── UnreadableModel  files that the system would not read, which says nothing of what is in them
"""


class ModelError(Exception):
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
