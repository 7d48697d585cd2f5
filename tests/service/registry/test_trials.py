"""A trial that fails for a reason of the moment says nothing of the model: it is tried again, by one worker for all."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.repository import ModelRepository
from service.errors import RefusedModel
from service.registry import trial as trials
from service.registry.coordination import LONGEST, Coordination, Verdict
from service.registry.registry import Registry
from service.registry.trial import PassingFailure, Trial, back_off
from tests.conftest import ROOT
from tests.service.conftest import PUBLISHED
from tests.service.registry.conftest import Publish, damage

PROBE = b"service.registry"
PAUSE_S = 4.0


@pytest.fixture
def tried(repository: ModelRepository) -> Registry:
    """A registry whose versions are tried in a process of their own, and that has not looked yet."""
    return Registry(repository, trial=Trial(repository.root, megabytes=512))


@pytest.fixture(autouse=True)
def _long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a look may take longer than the first pause."""
    monkeypatch.setattr(trials, "back_off", lambda _: PAUSE_S)


def refresh_until(registry: Registry, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, registry.refused("penguins")
        time.sleep(0.05)
        registry.refresh()


def children() -> set[int]:
    """This process's children that try versions."""
    found = set()
    for thread in Path("/proc/self/task").iterdir():
        for child in (thread / "children").read_text().split():
            try:
                if PROBE in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.add(int(child))
            except OSError:
                continue
    return found


@contextmanager
def killing(number: signal.Signals, most: int) -> Iterator[list[int]]:
    """Send a signal to the first few processes that try a version."""
    done, told = threading.Event(), list[int]()

    def look() -> None:
        while not done.is_set() and len(told) < most:
            for child in children() - set(told):
                os.kill(child, number)
                told.append(child)
            time.sleep(0.005)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield told
    finally:
        done.set()
        thread.join()


def test_a_trial_that_is_killed_is_tried_again(tried: Registry) -> None:
    """As by the kernel when memory is short; the reason says what happened, and no limit is blamed."""
    with killing(signal.SIGKILL, 1):
        tried.refresh()
    assert not tried.refused("penguins")
    assert "was killed by SIGKILL" in tried.failed("penguins")[1]
    assert not tried.ready

    refresh_until(tried, lambda: bool(tried.predictors))
    assert tried.ready
    assert not tried.failed("penguins")
    assert tried.coordination.counts == {"good": 1, "refused": 0, "failed": 1}


def test_a_trial_that_hangs_is_ended_and_tried_again(tried: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a time by the clock; on a machine that stood still the model is not to blame."""
    monkeypatch.setattr(trials, "PATIENCE_SECONDS", 0.3)
    with killing(signal.SIGSTOP, 1) as told:
        tried.refresh()
    assert "has not answered within 0.3 s" in tried.failed("penguins")[1]
    assert not Path(f"/proc/{told[0]}").exists()

    monkeypatch.setattr(trials, "PATIENCE_SECONDS", 30)
    refresh_until(tried, lambda: bool(tried.predictors))


def test_a_trial_that_cannot_start_is_tried_again() -> None:
    """With no descriptor left."""
    trial = Trial(PUBLISHED, megabytes=512)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with trial, pytest.raises(PassingFailure, match="could not be tried: Too many open files"):
            trial.check("penguins", 1, "state")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    time.sleep(PAUSE_S + 0.1)
    with trial:
        assert trial.check("penguins", 1, "state") == ModelRepository(PUBLISHED).digest("penguins", 1)


def test_a_worker_with_many_connections_can_try(tried: Registry) -> None:
    """More descriptors than select() knows."""
    held = [os.dup(0) for _ in range(1100)]
    try:
        tried.refresh()
    finally:
        for descriptor in held:
            os.close(descriptor)

    assert [one.version for one in tried.predictors] == [1]


def test_a_trial_that_dies_by_itself_says_of_what(
    tried: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its exit status and the last line that it wrote, without a path: what is broken is the installation."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service/__init__.py").write_text("raise ImportError('no such library in /opt/lib')\n")
    monkeypatch.setitem(trials.ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    tried.refresh()

    assert not tried.refused("penguins")
    assert "ended with code 1: ImportError: no such library in …" in tried.failed("penguins")[1]


def test_memory_that_was_short_before_the_trial_began_is_not_the_model_s(
    tried: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The limit of the trial holds from its first version on."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service/__init__.py").write_text("raise MemoryError\n")
    monkeypatch.setitem(trials.ENVIRONMENT, "PYTHONPATH", str(tmp_path))
    tried.refresh()

    assert not tried.refused("penguins")
    assert "MemoryError" in tried.failed("penguins")[1]


def test_what_fails_again_and_again_is_tried_more_and_more_seldom() -> None:
    """By all workers together: the pause is part of what they share. After three tries nobody waits for it."""
    seconds = [back_off(tries) for tries in range(1, 100)]
    assert seconds[:4] == [1, 2, 4, 8]
    assert seconds[-1] == trials.LONGEST_BACK_OFF_SECONDS

    trial = Trial(PUBLISHED, 512)
    trial.coordination.note("penguins/1 state", Verdict("failed", "why", 7, time.monotonic() + 60))
    with trial, pytest.raises(PassingFailure) as failed:
        trial.check("penguins", 1, "state")
    assert (str(failed.value), failed.value.tries) == ("why", 7)
    assert not children()


def test_a_version_that_is_being_retried_keeps_no_other_from_serving(tried: Registry, publish: Publish) -> None:
    """The one below serves meanwhile; the service is ready once it is loaded, or was tried three times."""
    publish()
    with killing(signal.SIGKILL, 1):
        tried.refresh()
    assert [one.version for one in tried.predictors] == [1]
    assert list(tried.failed("penguins")) == [2]
    assert not tried.ready
    assert tried.lifecycle("penguins")[0]["state"] == "failed"

    refresh_until(tried, lambda: tried.ready)
    assert tried.predictor().version == 2


def test_a_failing_version_is_not_waited_for_longer_than_three_tries(tried: Registry, publish: Publish) -> None:
    """Another one serves: the service is ready without it."""
    publish()
    with killing(signal.SIGKILL, 1):
        tried.refresh()
    (failure,) = tried._loader._failed.values()
    tried._loader._failed["penguins", 2] = failure._replace(tries=3, due=time.monotonic() + 60)
    tried.refresh()

    assert tried.ready
    assert tried.predictor().version == 1


def test_a_trial_needs_no_folder_that_can_be_written() -> None:
    """Every folder for temporary files is read-only, the working directory too."""
    script = (
        "import sys; from pathlib import Path; from service.registry.trial import Trial\n"
        "with Trial(Path(sys.argv[1]), 512) as trial: print(trial.check('penguins', 1, ''))"
    )
    # What lies there, perhaps this checkout, can still be read.
    read_only = "mount --bind $folder $folder; mount -o remount,ro,bind $folder"
    mounts = f"for folder in /tmp /var/tmp /usr/tmp; do if [ -d $folder ]; then {read_only}; fi; done"
    command = ["unshare", "--mount", "sh", "-ec", f'{mounts}; cd /tmp; exec "$@"', "sh"]
    run = [sys.executable, "-c", script, str(PUBLISHED)]
    if subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("folders can only be mounted by root")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": "/tmp"}
    ended = subprocess.run([*command, *run], env=environment, capture_output=True, text=True)

    assert ended.stdout.strip() == ModelRepository(PUBLISHED).digest("penguins", 1), ended.stderr


def test_a_verdict_of_one_is_that_of_all(repository: ModelRepository, publish: Publish) -> None:
    """Good or refused, by digest: the second worker starts no process."""
    damage(repository.root / "penguins" / str(publish()))
    trial = Trial(repository.root, 512)
    first = Registry(repository, trial=trial)
    first.refresh()
    second = Registry(repository, trial=Trial(repository.root, 512, Coordination(trial.coordination._file)))
    with killing(signal.SIGKILL, 1) as told:
        second.refresh()

    assert not told
    for registry in (first, second):
        assert registry.versions("penguins") == [1]
        assert list(registry.refused("penguins")) == [2]
    assert first.refused("penguins") == second.refused("penguins")
    assert trial.coordination.counts == {"good": 1, "refused": 1, "failed": 0}


HOLDER = """
import sys, time
from service.registry.coordination import Coordination
held = Coordination(int(sys.argv[1]))
assert getattr(held, sys.argv[2])() is not False
print(flush=True)
time.sleep(60)
"""


@contextmanager
def another(coordination: Coordination, what: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has called a method."""
    command = [sys.executable, "-c", HOLDER, str(coordination._file), what]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, pass_fds=[coordination._file]) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_worker_that_dies_while_it_tries_keeps_nobody_waiting() -> None:
    """Who waits for it tries the version itself."""
    trial = Trial(PUBLISHED, 512)
    with another(trial.coordination, "may_try") as process:
        assert not trial.coordination.may_try()
        threading.Timer(0.5, process.kill).start()
        began = time.monotonic()
        with trial:
            assert trial.check("penguins", 1, "") == ModelRepository(PUBLISHED).digest("penguins", 1)
    assert time.monotonic() - began >= 0.4


def test_a_verdict_that_comes_in_the_last_moment_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look for it and the right to try."""
    trial = Trial(PUBLISHED, 512)
    may_try = trial.coordination.may_try

    def late() -> bool:
        trial.coordination.note("penguins/1 ", Verdict("good", "of another worker"))
        return may_try()

    monkeypatch.setattr(trial.coordination, "may_try", late)
    with trial:
        assert trial.check("penguins", 1, "") == "of another worker"


def test_the_service_is_ready_for_all_or_for_none() -> None:
    """While a worker that lets in requests waits for its models, none is; whoever dies is waited for by nobody."""
    mine = Coordination.create()
    assert not mine.ready
    with another(mine, "wait") as waiting:
        mine.serve()
        assert not mine.ready
        waiting.kill()
        waiting.wait()
        assert mine.ready
    late = Coordination.create()
    with another(late, "serve") as serving:
        assert late.others_serve
        assert late.ready
        late.wait()
        assert not late.ready
        late.serve()
        assert late.ready
        serving.kill()
        serving.wait()
        assert not late.others_serve
        assert late.ready


def test_a_line_that_its_writer_did_not_end_is_passed_over() -> None:
    """So is what is no longer remembered; the counts stay."""
    shared = Coordination.create()
    shared.note("a", Verdict("good", "digest"))
    os.pwrite(shared._file, b'["b", "refused", "half', os.fstat(shared._file).st_size)
    assert shared.verdict("b") is None
    shared.note("c", Verdict("refused", "ends\nin ü"))
    assert shared.verdict("a") == Verdict("good", "digest")
    assert shared.verdict("c") == Verdict("refused", "ends\nin ü")

    while os.fstat(shared._file).st_size <= LONGEST:
        shared.note("d", Verdict("refused", "x" * 10_000))
    shared.note("e", Verdict("good", "digest"))
    assert shared.verdict("a") is None
    assert shared.verdict("e") == Verdict("good", "digest")
    assert shared.counts["good"] == 2


def test_a_file_that_the_disk_does_not_give_refuses_no_version(
    tried: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the worker, after the trial has found the version good: an error of the disk, which passes."""
    read = ModelRepository.read

    def fails(*_: object) -> object:
        monkeypatch.setattr(ModelRepository, "read", read)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ModelRepository, "read", fails)
    tried.refresh()
    assert not tried.refused("penguins")
    assert "Input/output error" in tried.failed("penguins")[1]

    refresh_until(tried, lambda: bool(tried.predictors))
    assert tried.coordination.counts["good"] == 1


def test_a_model_is_refused_for_good() -> None:
    """Its own fault is no reason to try again."""
    trial = Trial(PUBLISHED, 512)
    for _ in range(2):
        with trial, pytest.raises(RefusedModel, match="holds no version 9"):
            trial.check("penguins", 9, "")
    assert trial.coordination.counts == {"good": 0, "refused": 1, "failed": 0}
