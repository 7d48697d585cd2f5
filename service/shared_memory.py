"""Memory that the processes of a service share: one makes it, the others open it by its path."""

import mmap
import os
from typing import Self


class SharedMemory:
    """So many bytes, all zero at first. They live as long as a process that made or opened them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 0)

    @classmethod
    def of(cls, size: int) -> Self:
        """New memory."""
        descriptor = os.memfd_create(f"evenkeel-{cls.__name__.lower()}")
        os.ftruncate(descriptor, size)
        return cls(descriptor)

    @classmethod
    def open(cls, path: str) -> Self:
        """The memory that another process has made."""
        return cls(os.open(path, os.O_RDWR))

    @property
    def path(self) -> str:
        """Where other processes open it, while this one lives."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"
