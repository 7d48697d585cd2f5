"""Memory that is free goes back to the system at once."""

import ctypes
from contextlib import suppress

M_MMAP_THRESHOLD = -3
# What one request takes in large blocks is not kept for the next: a worker would stay as large as its largest request,
# and where its threads take turns, larger.
LARGE_BLOCK = 1 << 20


def return_large_blocks() -> None:
    """Let the C library map each large block by itself. By default it stops doing so after the first one was freed."""
    # Another C library than glibc has no such habit, and no such function.
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
