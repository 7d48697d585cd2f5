"""Programs that a script starts, and that end with it: whoever ends a script ends what it has started."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 20


def end_by_signals() -> None:
    """Let SIGTERM, and SIGHUP of a terminal that is closed, end the script as an exception does; once, not again."""
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, _end)


def _end(number: int, _: object) -> None:
    for one in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(one, signal.SIG_IGN)
    sys.exit(128 + number)


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], *, read: bool = False) -> str:
    """Run a command; with `read`, return what it prints.

    :raises CalledProcessError: it failed, and has said why.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE if read else None,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate()
        except BaseException:
            _end_all(process)
            raise
    if process.returncode:
        # What a program that failed has left behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        raise subprocess.CalledProcessError(process.returncode, command)
    return (printed or "").strip()


def _end_all(process: "subprocess.Popen[str]") -> None:
    """End a program and what it has started: as Ctrl-C does, and what then goes on, by kill -9."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
