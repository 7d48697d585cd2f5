"""How many workers there is room for: a core and memory for each."""

import logging
from dataclasses import dataclass

from models.machine import available_cores, available_memory
from service.http.budget import BUDGET, RESERVE

# Measured with a small model: the supervisor with what all share, and the process in which a version is tried; and what
# a worker has for itself while it has nothing to do. docs/settings.md says how.
SHARED_BYTES = 128 << 20
WORKER_BYTES = 32 << 20

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
