"""`forget LOG REQUEST_ID …`: the lines of some requests are erased from a prediction log.

Each is written over with blanks where it stands. So a service may go on writing meanwhile, no other line moves, and
nothing has to be copied, for which a full disk would have no room.
"""

import argparse
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from models.prediction_log import decoded, log_files, raw_lines, spelled
from service.errors import NotLogged


def forget(options: argparse.Namespace) -> None:
    """Erase the lines of some requests, and print how many.

    :raises NoLog: there is no log.
    :raises OSError: it cannot be read or written.
    :raises NotLogged: of one of them it has none; those of the others are erased.
    """
    erased = erase(log_files(options.log), options.request_ids)
    for request_id in options.request_ids:
        count = erased.get(request_id, 0)
        print(f"{request_id}: {count} {'line' if count == 1 else 'lines'} erased")
    missing = [request_id for request_id in options.request_ids if request_id not in erased]
    if missing:
        raise NotLogged(f"the log in {options.log} has no line of {', '.join(missing)}")


def erase(files: Iterable[Path], request_ids: Collection[str]) -> dict[str, int]:
    """Erase the lines of some requests; how many it were of each that had any.

    :raises OSError: a file cannot be read or written.
    """
    marks = {f'"request_id":{spelled(request_id)}'.encode(): request_id for request_id in request_ids}
    erased: dict[str, int] = {}
    for file in files:
        found = [(place, len(line.rstrip(b"\n")), _owner(line, marks)) for place, line in raw_lines([file])]
        lines = [(place.start, length, owner) for place, length, owner in found if owner is not None]
        if not lines:
            continue
        with file.open("r+b") as opened:
            for start, length, owner in lines:
                os.pwrite(opened.fileno(), b" " * length, start)
                erased[owner] = erased.get(owner, 0) + 1
            os.fsync(opened.fileno())
    return erased


def _owner(line: bytes, marks: Mapping[bytes, str]) -> str | None:
    """The request, of some, that a line is of: also of one that was altered or torn off."""
    for mark, request_id in marks.items():
        if mark in line:
            logged = decoded(line)
            # A row may have a feature that is called so.
            if logged is None or logged.request_id == request_id:
                return request_id
    return None
