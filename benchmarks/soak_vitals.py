"""What a process uses, looked up in /proc; and whether that stays level."""

import re
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# A line fitted to the second half may climb by as much: what a heap breathes, and a byte per answer thousandfold.
BREATH_MB = 3.0
MB_PER_REQUEST = 1e-5


@dataclass(frozen=True)
class Vitals:
    """One worker at one moment; `requests` is how many the service had answered by then."""

    requests: int
    rss_mb: float
    descriptors: int
    threads: int


def workers_of(supervisor: int) -> list[int]:
    """The processes of the workers, the oldest first."""
    try:
        return [int(child) for child in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]
    except FileNotFoundError:
        return []


def vitals(process: int, requests: int) -> Vitals:
    """:raises OSError: the process is gone."""
    status = Path(f"/proc/{process}/status").read_text()
    rss, threads = (re.search(rf"{name}:\s+(\d+)", status) for name in ("VmRSS", "Threads"))
    if rss is None or threads is None:
        raise ProcessLookupError(process)
    descriptors = sum(1 for _ in Path(f"/proc/{process}/fd").iterdir())
    return Vitals(requests, int(rss[1]) / 1024, descriptors, int(threads[1]))


def ports_of_clients(process: int, port: int) -> set[int]:
    """The ports of the clients whose connections a process holds."""
    sockets = set()
    for descriptor in Path(f"/proc/{process}/fd").iterdir():
        try:
            sockets.add(str(descriptor.readlink()).removeprefix("socket:[").rstrip("]"))
        except FileNotFoundError:
            continue
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[9] in sockets and int(fields[1].rpartition(":")[2], 16) == port:
            found.add(int(fields[2].rpartition(":")[2], 16))
    return found


def listeners(port: int) -> int:
    """How many sockets listen on a port: one for each worker that is up."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port for fields in lines)


def series(url: str) -> int:
    """How many series the metrics have, where those of all versions count as one: versions come and go."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    return len({re.sub(r'version="\d+"', "", line.rpartition(" ")[0]) for line in lines if not line.startswith("#")})


def growth_mb(samples: Sequence[Vitals]) -> tuple[float, float]:
    """By how much the line through the second half of the samples climbs, and by how much it may."""
    second = samples[len(samples) // 2 :]
    requests = np.array([sample.requests for sample in second], float)
    if len(second) < 3 or np.ptp(requests) == 0:
        return 0.0, BREATH_MB
    slope = np.polyfit(requests, [sample.rss_mb for sample in second], 1)[0]
    span = float(np.ptp(requests))
    return float(slope * span), BREATH_MB + MB_PER_REQUEST * span


def level(name: str, counts: Sequence[int], slack: int = 2) -> str | None:
    """A complaint where a count is higher in its second half than it ever was in the first."""
    half = len(counts) // 2
    first, second = max(counts[:half], default=0), max(counts[half:], default=0)
    return f"{name} grew from {first} to {second}" if second > first + slack else None
