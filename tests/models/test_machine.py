"""The cores and the memory of a process, on control groups as Linux lays them out."""

import os
from pathlib import Path

import pytest

from models.machine import available_cores, available_memory

GB, MB = 1 << 30, 1 << 20
# What version 1 has for no limit.
NONE = 9223372036854771712


def laid_out(root: Path, own: str, files: dict[str, object]) -> tuple[Path, Path]:
    """A folder of control groups, and what /proc/self/cgroup says."""
    for name, content in files.items():
        path = root / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    (root / "own").write_text(own)
    return root / "groups", root / "own"


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        # Version 2: the root has no limit; the container's own; one above it that is less; none.
        ("0::/\n", {"memory.max": 2 * GB}, 2 * GB),
        ("0::/a/b\n", {"a/b/memory.max": GB}, GB),
        ("0::/a/b\n", {"a/b/memory.max": GB, "a/memory.max": GB // 2}, GB // 2),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": GB}, GB),
        ("0::/a\n", {"a/memory.max": "max", "other/memory.max": MB}, None),
        # The hybrid layout.
        ("4:memory:/\n0::/a\n", {"unified/a/memory.max": GB}, GB),
        # Version 1: on the machine; inside a container, where the path leads nowhere; a limit above what is mounted.
        ("4:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": GB, "memory/memory.limit_in_bytes": NONE}, GB),
        ("4:memory:/docker/1f\n", {"memory/memory.limit_in_bytes": GB}, GB),
        (
            "4:memory:/docker/1f\n",
            {
                "memory/memory.limit_in_bytes": NONE,
                "memory/memory.stat": f"cache 0\nhierarchical_memory_limit {GB}\nrss 1",
            },
            GB,
        ),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": NONE}, None),
        ("4:memory:/../../etc\n", {}, None),
        ("", {}, None),
    ],
)
def test_the_least_memory_limit_counts(tmp_path: Path, own: str, files: dict[str, object], limit: int | None) -> None:
    """Of all groups that the process lies in; where there is none, it is what the machine has."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    assert available_memory(*laid_out(tmp_path, own, files)) == min(limit or machine, machine)


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000"}, 8),
        ("0::/a/b\n", {"a/b/cpu.max": "300000 100000", "a/cpu.max": "250000 100000"}, 2),
        ("0::/\n", {"cpu.max": "20000 100000"}, 1),
        ("2:cpu,cpuacct:/x\n", {"cpu/cpu.cfs_quota_us": 400000, "cpu/cpu.cfs_period_us": 100000}, 4),
        ("2:cpu,cpuacct:/x\n", {"cpu,cpuacct/x/cpu.cfs_quota_us": -1, "cpu,cpuacct/x/cpu.cfs_period_us": 100000}, 8),
        ("2:cpuset:/x\n", {"cpu/cpu.cfs_quota_us": 100000, "cpu/cpu.cfs_period_us": 100000}, 8),
    ],
)
def test_the_least_quota_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: dict[str, object], cores: int
) -> None:
    """In whole cores, and at least one; on a machine of eight."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    assert available_cores(*laid_out(tmp_path, own, files)) == cores


def test_this_machine_has_both() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    assert 100 * MB < available_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
