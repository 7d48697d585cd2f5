"""What this process may use of its machine: the cores and the memory of its control group, v2 or v1; and which kind
of processor it has.

A group has the limits of all groups that it lies in. In a container the inner end of the path is what is mounted, and
what lies above it cannot be seen, but for the memory limit of v1, whose `memory.stat` tells the least of them.
"""

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

# The widest first, as onnxruntime chooses among its kernels.
VECTORS = {
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"},
    "avx2": {"avx2", "fma"},
    "avx": {"avx"},
    "sse2": {"sse2"},
}
GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_cores(groups: Path = GROUPS, own: Path = OWN) -> int:
    """How many cores this process may use, by its affinity and the quotas of its control groups."""
    cores = _allowed_cores()
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


def _allowed_cores() -> int:
    """Those that the scheduler may choose for this process; macOS knows no such choice."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


def processor_class(info: Path = Path("/proc/cpuinfo")) -> str:
    """The machine's architecture, with the widest vector instructions of an x86.

    They decide which kernels onnxruntime takes, and so how sums are rounded: processors of one class give the same
    bits.
    """
    architecture = platform.machine() or "unknown"
    found = re.search(r"^flags\s*:(.*)$", _read(info), re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    widest = next((name for name, needed in VECTORS.items() if needed <= flags), None)
    return f"{architecture}-{widest}" if widest else architecture
