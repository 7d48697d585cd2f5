"""The prediction log: what a service has answered, and which labels it was told later, as JSON lines in a folder.

Each process of a service appends to files of its own, whole lines at a time; nothing is renamed. A line says all that
it takes to repeat an answer, and ends with a check of itself: the CRC-32 of what stands before, by which a line that
was altered is found, but no forger. A process that is killed may leave a last line without its end. A line of blanks is
one that was erased.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from struct import unpack
from typing import Annotated, Any, Literal
from zlib import crc32

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from models.errors import EvenkeelError

SUFFIX = ".jsonl"
# What stands behind the last value of a line.
_END = len(',"check":"01234567"}\n')


class NoLog(EvenkeelError):
    """There is no prediction log at this path."""


class Hashed(BaseModel):
    """What stands for a value that the service was told to hash: equal values of a feature have equal hashes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hash: str


class _Line(BaseModel):
    # Unknown keys are let through: a log written by a newer service stays readable.
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    time: datetime
    request_id: str
    index: int
    model: str


class LoggedPrediction(_Line):
    """The answer to row `index` (from 0 on) of a request.

    `row` is the record that a client would send for these values; features that are dropped are not in it. `bits` are
    the probabilities in the order of the card's classes, each a 32-bit float in 8 hexadecimal digits. `processor` is
    the class of processor that has reckoned them, as `models.machine` names it.
    """

    kind: Literal["prediction"] = "prediction"
    version: int
    label: str
    bits: Annotated[str, Field(pattern="^([0-9a-f]{8})+$")]
    row: dict[str, float | str | Hashed | None]
    card_sha256: str
    onnx_sha256: str
    libraries: dict[str, str]
    processor: str

    @property
    def probabilities(self) -> tuple[float, ...]:
        """What `bits` spell."""
        return unpack(f">{len(self.bits) // 8}f", bytes.fromhex(self.bits))


class LoggedFeedback(_Line):
    """The true label of row `index` of a request, as somebody has sent it later."""

    kind: Literal["feedback"] = "feedback"
    label: str


@dataclass(frozen=True)
class BrokenLine:
    """A line that is none: altered, or, where it is the last of a file and has no end, torn off."""

    torn: bool


@dataclass(frozen=True, order=True)
class Place:
    """Where a line stands: its file, its number in it from 1 on, and the byte that it begins at."""

    file: Path
    number: int
    start: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.number}"


Logged = LoggedPrediction | LoggedFeedback
_LOGGED: TypeAdapter[Logged] = TypeAdapter(Annotated[Logged, Field(discriminator="kind")])


def timestamp(seconds: float) -> str:
    """A moment, in seconds since 1970, as a line has it."""
    whole = int(seconds)
    return f"{_second(whole)}.{int(1e6 * (seconds - whole)):06}Z"


def encoded(line: Mapping[str, Any]) -> bytes:
    """A line from its fields."""
    return sealed(spelled(line)[:-1].encode())


def spelled(value: Any) -> str:
    """A value as JSON, as people write it; where a character cannot be printed, such as a lone surrogate, in ASCII."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text if text.isprintable() else json.dumps(value, allow_nan=False, separators=(",", ":"))


def sealed(body: bytes) -> bytes:
    """A line from its JSON object without the bracket at the end."""
    return body + b',"check":"%08x"}\n' % crc32(body)


def decoded(line: bytes) -> Logged | None:
    """What a line says; None where it is altered, or torn off."""
    body = line[:-_END]
    if line != sealed(body):
        return None
    try:
        # Python's own reader takes whatever text may stand in a row.
        return _LOGGED.validate_python(json.loads(line))
    except (ValueError, RecursionError):
        return None


def log_files(place: Path) -> list[Path]:
    """The files of a log folder in the order of their names, which begin with when they were begun; or the one file.

    :raises NoLog: there is no such folder or file, or none in it.
    :raises OSError: it cannot be read.
    """
    if place.is_dir():
        found = sorted(file for file in place.iterdir() if file.suffix == SUFFIX and file.is_file())
        if not found:
            raise NoLog(f"{place} has no prediction log: no file in it ends with {SUFFIX}")
        return found
    if not place.exists():
        raise NoLog(f"{place} is not there; name the folder that EVENKEEL_PREDICTION_LOG names for the service")
    if not place.is_file():
        raise NoLog(f"{place} is no file; name the folder that EVENKEEL_PREDICTION_LOG names for the service")
    return [place]


def read_log(files: Iterable[Path]) -> Iterator[tuple[Place, Logged | BrokenLine]]:
    """Every line of some files but those that were erased.

    :raises OSError: a file cannot be read.
    """
    for place, line in raw_lines(files):
        yield place, decoded(line) or BrokenLine(torn=not line.endswith(b"\n"))


def raw_lines(files: Iterable[Path]) -> Iterator[tuple[Place, bytes]]:
    """The bytes of every line of some files, with its end, but of those that were erased."""
    for path in files:
        start = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield Place(path, number, start), line
                start += len(line)


@lru_cache
def _second(whole: int) -> str:
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}"
