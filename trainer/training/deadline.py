"""A time limit: when training is to be over, whatever it has come to by then."""

import math
import re
import time
from dataclasses import dataclass

from trainer.training.records import OutOfTime

DURATION = re.compile(r"(\d+(?:\.\d+)?)([smh]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
RULE = "should be seconds, or minutes such as 10m, or hours such as 2h"


def seconds(text: str) -> float | None:
    """The seconds of a duration such as `90`, `90s`, `10m` or `2h`; None of any other text."""
    match = DURATION.fullmatch(text)
    return (float(match[1]) * SECONDS[match[2]] or None) if match else None


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
