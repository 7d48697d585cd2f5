"""Memory that is free goes back to the system at once."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# What one request takes in large blocks is not kept for the next: a worker would stay as large as its largest request,
# and where its threads take turns, larger.
LARGE_BLOCK = 2 << 20
# So much of what small blocks took is kept. By default a setting of the other limit leaves this one at an eighth of a
# large block, and each answer of a thousand rows would take its pages from the system anew.
KEPT = 4 << 20


def return_large_blocks() -> None:
    """Let the C library map each large block by itself. By default it stops doing so after the first one was freed."""
    # Another C library than glibc has no such habit, and no such function.
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
        library.mallopt(M_TRIM_THRESHOLD, KEPT)
