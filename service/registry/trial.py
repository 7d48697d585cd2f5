"""The trial of a version: a process of its own loads it first, under limits, so that a bad one harms nobody else.

All workers of a service have one such process at a time between them, and each version is tried once for all. A verdict
is about the model: the process has refused it, or it took more memory or processor than it may. A process that ends, is
slow or does not start for any other reason says nothing of the model: that trial has failed, and is tried again.
"""

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType

from service.errors import RefusedModel
from service.registry.coordination import Coordination, Verdict
from service.registry.probe import CPU_SECONDS, STARTED, Answer, over_memory, short_of_memory

# By the clock: on a busy machine a good model waits.
PATIENCE_SECONDS = 30.0
# How long a process may take to end: one that was killed, but waits for a dead disk, does not.
END_SECONDS = 5.0
# How often a worker that waits for another one's trial looks for the verdict.
LOOK_SECONDS = 0.02
LONGEST_BACK_OFF_SECONDS = 60.0
LONGEST_LINE, LONGEST_ANSWER = 200, 1 << 16
# Threads and arenas would reserve addresses, which the limit counts, and are of no use to a few rows.
ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONPATH": str(Path(__file__).parents[2]),
}


class PassingFailure(Exception):
    """A version could not be tried, or loaded, for a reason that has nothing to do with it; `due` is when to try again
    by the monotonic clock, where that is settled.
    """

    def __init__(self, reason: str, tries: int = 0, due: float = 0.0) -> None:
        super().__init__(reason)
        self.tries, self.due = tries, due


def back_off(tries: int) -> float:
    """Seconds until the next try after so many have failed."""
    return min(LONGEST_BACK_OFF_SECONDS, 2.0 ** min(tries - 1, 30))


class Trial:
    """Tries versions of a repository, one after the other, in one process as long as they leave it alive.

    That process, the probe, starts with the first version that no worker has tried yet, and ends with the `with` block.
    """

    def __init__(self, root: Path, megabytes: int, coordination: Coordination | None = None) -> None:
        self.coordination = coordination or Coordination.create()
        self._root = root.absolute()
        self._megabytes = megabytes
        self._probe: subprocess.Popen[bytes] | None = None
        self._started = False
        # What the probe says on its standard error: a file in memory needs no folder, and never blocks its writer.
        self._said: int | None = None

    def __enter__(self) -> "Trial":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._end()
        finally:
            self.coordination.tried()

    def knows(self, name: str, version: int, state: str) -> bool:
        """Whether `check` would answer at once."""
        verdict = self.coordination.verdict(_key(name, version, state))
        return verdict is not None and verdict.stands

    def check(self, name: str, version: int, state: str) -> str:
        """Load a version, its files being in a `state`, in the other process; return the digest of its card.

        :raises RefusedModel: it was refused there, or took more memory or time than it may.
        :raises PassingFailure: the trial has failed.
        """
        key = _key(name, version, state)
        verdict = self.coordination.verdict(key)
        while verdict is None or not verdict.stands:
            if self.coordination.may_try():
                # It may have come between the look and the lock.
                verdict = self.coordination.verdict(key)
                if verdict is None or not verdict.stands:
                    verdict = self._verdict(name, version, verdict.tries if verdict else 0)
                    self.coordination.note(key, verdict)
                break
            sleep(LOOK_SECONDS)
            verdict = self.coordination.verdict(key)
        if verdict.result == "failed":
            raise PassingFailure(verdict.text, verdict.tries, verdict.due)
        if verdict.result == "refused":
            raise RefusedModel(verdict.text)
        return verdict.text

    def _verdict(self, name: str, version: int, tries: int) -> Verdict:
        try:
            answer = self._ask({"name": name, "version": version, "megabytes": self._megabytes})
            if answer is None:
                answer = self._why_none(self._root / name / str(version))
        except (OSError, ValueError) as error:
            answer = {"failed": f"it could not be tried: {getattr(error, 'strerror', None) or error}"}
        if "digest" in answer:
            return Verdict("good", answer["digest"])
        if "refused" in answer:
            return Verdict("refused", answer["refused"])
        self._end()
        return Verdict("failed", answer["failed"], tries + 1, monotonic() + back_off(tries + 1))

    def _ask(self, question: dict[str, object]) -> Answer | None:
        """The answer of the probe; None where it ended without one, or takes too long."""
        until = monotonic() + PATIENCE_SECONDS
        if self._probe is None:
            self._start()
            if self._line(until) != STARTED:
                return None
            self._started = True
        assert self._probe is not None
        assert self._probe.stdin is not None
        with suppress(BrokenPipeError):
            self._probe.stdin.write(json.dumps(question).encode() + b"\n")
        return self._line(until)

    def _start(self) -> None:
        self._started, self._said = False, os.memfd_create("evenkeel-trial")
        self._probe = subprocess.Popen(  # noqa: S603 (this interpreter, and a path from the settings)
            [sys.executable, "-P", "-m", "service.registry.probe", str(self._root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=ENVIRONMENT,
            bufsize=0,
        )

    def _line(self, until: float) -> Answer | None:
        """The next line of the probe; None where it ended before, or takes too long."""
        assert self._probe is not None
        assert self._probe.stdout is not None
        # Not select(), which knows no descriptor above 1023.
        poll, line = select.poll(), b""
        poll.register(self._probe.stdout, select.POLLIN)
        while not line.endswith(b"\n"):
            if not poll.poll(max(0.0, 1000 * (until - monotonic()))):
                return None
            if not (more := os.read(self._probe.stdout.fileno(), LONGEST_ANSWER)):
                return None
            line += more
        answer: Answer = json.loads(line)
        return answer

    def _why_none(self, folder: Path) -> Answer:
        """Why there is no answer, and whether the model is to blame: it has met a limit that the trial has set."""
        assert self._probe is not None
        code, said, started = None, "", self._started
        with suppress(subprocess.TimeoutExpired):
            code = self._probe.wait(1.0)
            said = self._last_line()
        self._end()
        if code is None:
            return {"failed": f"the process that tries it has not answered within {PATIENCE_SECONDS:g} s"}
        if started and code == -signal.SIGXCPU:
            return {"refused": f"it takes more than {CPU_SECONDS} s of processor to load and to answer its golden rows"}
        if started and short_of_memory(said):
            return {"refused": over_memory(folder, self._megabytes)}
        ended = f"was killed by {_signal(-code)}" if code < 0 else f"ended with code {code}"
        return {"failed": f"the process that tries it {ended}{said and f': {said}'}"}

    def _last_line(self) -> str:
        """The last line that the probe has written to its standard error."""
        assert self._said is not None
        end = os.fstat(self._said).st_size
        lines = os.pread(self._said, 4096, max(0, end - 4096)).decode(errors="replace").split("\n")
        return next((line.strip()[:LONGEST_LINE] for line in reversed(lines) if line.strip()), "")

    def _end(self) -> None:
        probe, said = self._probe, self._said
        self._probe = self._said = None
        if said is not None:
            os.close(said)
        if probe is not None:
            probe.kill()
            for pipe in (probe.stdin, probe.stdout):
                if pipe is not None:
                    pipe.close()
            with suppress(subprocess.TimeoutExpired):
                probe.wait(END_SECONDS)


def _key(name: str, version: int, state: str) -> str:
    return f"{name}/{version} {state}"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
