"""Where a study is kept: a folder, and for several machines the database that its records and claims are in."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.search import server
from trainer.search.claims import Claims, FileClaims
from trainer.search.space import Space
from trainer.search.study import Study, open_journal, open_server

HIDDEN = ".searches"
JOURNAL, LOCKS, ROWS = "study.journal", "claims", "rows-"


@dataclass(frozen=True)
class Place:
    """A study's name, its folder, and the address of its database if it has one."""

    name: str
    folder: Path
    address: str | None = None

    @property
    def exists(self) -> bool:
        """Whether the folder holds records; whether a database does, it alone knows."""
        return not self.address and (self.folder / JOURNAL).exists()

    def open_study(self, box: Space, *, create: bool = False) -> Study:
        """The records, for this process.

        :raises UnknownStudy: there are none, and `create` is not set.
        :raises TrainerError: they cannot be had; the sentence says why.
        """
        if self.address:
            return open_server(server.for_sqlalchemy(self.address), self.name, box, create=create)
        return open_journal(self.folder / JOURNAL, self.name, box, create=create)

    def open_claims(self) -> Claims:
        """The claims on its trials, for this process."""
        if self.address:
            return server.ServerClaims(self.address, self.name)
        return FileClaims(self.folder / LOCKS)

    @contextmanager
    def folder_of_rows(self) -> Iterator[Path]:
        """A folder for encoded rows, gone afterwards; those of processes that were killed go too."""
        for left in self.folder.glob(f"{ROWS}*"):
            if not _is_held(left):
                shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=ROWS, dir=self.folder, ignore_cleanup_errors=True) as path:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                yield Path(path)
            finally:
                os.close(descriptor)


def _is_held(folder: Path) -> bool:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    else:
        return False
    finally:
        os.close(descriptor)
