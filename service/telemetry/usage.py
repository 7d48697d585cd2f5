"""What the processes of the service use of the machine, as /proc tells; proc(5).

The service is one target of Prometheus and several processes, so its numbers are sums. Of the memory that processes
share, each has its part (PSS), so that the sum is what the service takes; the time of a process that has ended stays
with its parent, so that the sum never falls.
"""

import os
import resource
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
# In /proc/PID/stat, counted from behind the name: times of the process and of its dead children, and its start.
USED, CHILDREN_USED, STARTED = slice(11, 13), slice(13, 15), 19
# A child that ends while all are looked at would count twice, or not at all.
LOOKS = 3


@dataclass(frozen=True)
class Usage:
    """Sums over processes, and when the first of them started, in seconds since 1970."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    open_descriptors: int = 0
    most_descriptors: int = 0
    started: float = 0.0


def usage(processes: Sequence[int]) -> Usage:
    """What some processes use, the first of which is the parent of the others; one that is gone uses nothing."""
    if not processes:
        return Usage()
    for _ in range(LOOKS):
        before = _stat(processes[0])
        stats = [stat for process in processes if (stat := _stat(process))]
        if before[CHILDREN_USED] == _stat(processes[0])[CHILDREN_USED]:
            break
    ticks = sum(sum(stat[USED]) + sum(stat[CHILDREN_USED]) for stat in stats)
    return Usage(
        cpu_seconds=ticks / TICKS,
        memory_bytes=sum(map(memory, processes)),
        open_descriptors=sum(map(_open, processes)),
        most_descriptors=sum(map(_most, processes)),
        started=_boot() + before[STARTED] / TICKS if before else 0.0,
    )


def memory(process: int) -> int:
    """Bytes of memory that a process has, with its part of those that it shares."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    # Not every kernel that stands in for Linux has that file.
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    return 0


def _stat(process: int) -> list[int]:
    """The fields behind a process's name and state; none where it is gone."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [0, *map(int, fields[1:])]


def _open(process: int) -> int:
    with suppress(OSError):
        return sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
    return 0


def _most(process: int) -> int:
    with suppress(OSError):
        return resource.prlimit(process, resource.RLIMIT_NOFILE)[0]
    return 0


def _boot() -> float:
    """When the machine started, in seconds since 1970."""
    with suppress(OSError):
        for line in Path("/proc/stat").read_text().splitlines():
            if line.startswith("btime "):
                return float(line.split()[1])
    return 0.0
