"""Where a study is kept: a folder, and for several machines the database that its records and claims are in."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from trainer.search.claims import Claims, FileClaims
from trainer.search.space import Space
from trainer.search.study import Study, open_journal

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

    def check_address(self) -> None:
        """Connect to the database once, if there is to be one.

        :raises StorageUnreachable: it is no address of a PostgreSQL server, or nobody answers there.
        """
        if self.address:
            # Whoever has no database waits for none of its libraries, here and below.
            from trainer.search import server

            server.check_address(self.address)

    def open_study(self, box: Space, *, create: bool = False) -> Study:
        """The records, for this process.

        :raises UnknownStudy: there are none, and `create` is not set.
        :raises TrainerError: they cannot be had; the sentence says why.
        """
        if self.address:
            from trainer.search import server
            from trainer.search.database import open_server

            return open_server(server.for_sqlalchemy(self.address), self.name, box, create=create)
        return open_journal(self.folder / JOURNAL, self.name, box, create=create)

    def open_claims(self) -> Claims:
        """The claims on its trials, for this process."""
        if self.address:
            from trainer.search import server

            return server.ServerClaims(self.address, self.name)
        return FileClaims(self.folder / LOCKS)

    @contextmanager
    def folder_of_rows(self) -> Iterator[Path]:
        """A folder for encoded rows, gone afterwards; those of processes that were killed go too."""
        for left in self.folder.glob(f"{ROWS}*"):
            _remove_unless_held(left)
        path, lock = self._make_rows()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)

    def _make_rows(self) -> tuple[Path, int]:
        """A new folder, and the descriptor that holds its lock."""
        while True:
            path = Path(tempfile.mkdtemp(prefix=ROWS, dir=self.folder))
            with suppress(FileNotFoundError):
                descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if path.exists():
                    return path, descriptor
                os.close(descriptor)  # Another process took it for a stray before it was locked.


def _remove_unless_held(folder: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
