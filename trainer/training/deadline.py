"""A time limit: when training is to be over, whatever it has come to by then."""

import math
import time
from dataclasses import dataclass

from trainer.training.records import OutOfTime


@dataclass(frozen=True)
class Deadline:
    """A moment of the clock that all processes of a machine share, `time.monotonic`.

    A run has `least` epochs whatever the time.
    """

    at: float
    least: int = 0

    @property
    def left_s(self) -> float:
        """How many seconds there are until then."""
        return self.at - time.monotonic()

    def check(self, epochs: int) -> None:
        """Let a run that has so many epochs behind it go on, unless the moment is past.

        :raises OutOfTime: it is.
        """
        if self.left_s <= 0 and epochs >= self.least:
            raise OutOfTime


NEVER = Deadline(math.inf)


@dataclass(frozen=True)
class TimeLimit:
    """A limit that counts from when a run has started."""

    started: float
    seconds: float

    @classmethod
    def from_now(cls, seconds: float) -> "TimeLimit":
        """A limit for what starts now."""
        return cls(time.monotonic(), seconds)

    def after(self, share: float) -> Deadline:
        """When a share of the time is over."""
        return Deadline(self.started + share * self.seconds)
