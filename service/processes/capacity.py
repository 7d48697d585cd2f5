"""How many workers there is room for: the cores and the memory of this process's control group, v2 or v1.

A group has the limits of all groups that it lies in. In a container the inner end of the path is what is mounted, and
what lies above it cannot be seen, but for the memory limit of v1, whose `memory.stat` tells the least of them.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.http.budget import BUDGET, RESERVE

# Measured with a small model: the supervisor with what all share, and the process in which a version is tried; and what
# a worker has for itself while it has nothing to do. docs/settings.md says how.
SHARED_BYTES = 128 << 20
WORKER_BYTES = 32 << 20
GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Capacity:
    """What there is, and what a worker needs of it when it has as much to do as it takes in."""

    cores: int
    memory_bytes: int
    worker_bytes: int

    @property
    def workers(self) -> int:
        """As many workers as have a core and memory each."""
        return max(1, min(self.cores, (self.memory_bytes - SHARED_BYTES) // self.worker_bytes))

    def needed(self, workers: int) -> int:
        """Bytes of memory for so many workers."""
        return SHARED_BYTES + workers * self.worker_bytes


def capacity(body_bytes: int) -> Capacity:
    """What this process has, for workers that take bodies of so many bytes."""
    return Capacity(available_cores(), available_memory(), WORKER_BYTES + (BUDGET + RESERVE) * body_bytes)


def explain(found: Capacity, workers: int) -> None:
    """Log how many workers there are and why, and warn where they do not fit."""
    numbers = {
        "workers": workers,
        "fitting_workers": found.workers,
        "cores": found.cores,
        "memory_megabytes": found.memory_bytes >> 20,
        "worker_megabytes": found.worker_bytes >> 20,
        "shared_megabytes": SHARED_BYTES >> 20,
    }
    log.info("workers", extra=numbers)
    if found.needed(workers) > found.memory_bytes:
        lower = "EVENKEEL_WORKERS or EVENKEEL_MAX_BODY_BYTES" if workers > 1 else "EVENKEEL_MAX_BODY_BYTES"
        log.warning(
            "under full load the workers may take more memory than there is: "
            f"lower {lower}, or give the service {found.needed(workers) >> 20} MB",
            extra=numbers,
        )


def available_cores(groups: Path = GROUPS, own: Path = OWN) -> int:
    """How many cores this process may use, by its affinity and the quotas of its control groups."""
    cores = len(os.sched_getaffinity(0))
    for folder in _folders(groups, own, "cpu"):
        quota, _, period = _read(folder / "cpu.max").partition(" ")
        if not quota:
            quota, period = (_read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period):
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def available_memory(groups: Path = GROUPS, own: Path = OWN) -> int:
    """How many bytes of memory this process may use: what the machine has, or the least limit of its control groups."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for folder in _folders(groups, own, "memory"):
        least = re.search(r"^hierarchical_memory_limit (\d+)$", _read(folder / "memory.stat"), re.MULTILINE)
        texts = [_read(folder / "memory.max"), _read(folder / "memory.limit_in_bytes"), least[1] if least else ""]
        limits += [int(text) for text in texts if text.isdigit()]
    return min(limits)


def _folders(groups: Path, own: Path, controller: str) -> Iterator[Path]:
    """The folders that limit this process: its own group's, and those that it lies in, as far as they are mounted."""
    for line in _read(own).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            mounts = [groups / controller, groups / controllers]
        elif number == "0":
            mounts = [groups, groups / "unified"]
        else:
            continue
        for mount in mounts:
            inner = mount / path.lstrip("/")
            yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(mount))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
