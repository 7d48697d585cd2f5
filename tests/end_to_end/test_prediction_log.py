"""The prediction log of a service of several processes, which are killed."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from models.prediction_log import BrokenLine, LoggedFeedback, LoggedPrediction, log_files, read_log
from tests.end_to_end.conftest import PATIENCE_S, Service, wait_for
from tests.end_to_end.test_workers import children
from tests.service.conftest import GENTOO, PUBLISHED
from tests.service.test_metrics import value


def written(service: Service) -> float:
    return value(service.metrics(), "prediction_log_lines_total", outcome="written")


def ask(service: Service, rows: int) -> None:
    assert service.ask("/predict", {"instances": [GENTOO] * rows})[0] == 200


def test_each_answer_of_all_workers_has_one_line(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Also after a worker was killed, and after the service was told to stop, which writes what is left."""
    folder = tmp_path / "log"
    service = serve(PUBLISHED, EVENKEEL_WORKERS="2", EVENKEEL_PREDICTION_LOG=str(folder))
    service.wait()
    for _ in range(40):
        ask(service, 3)
    wait_for(lambda: written(service) == 120)
    os.kill(int(children(service)[0]), signal.SIGKILL)
    wait_for(lambda: value(service.metrics(), "workers_ready") == 2)
    wait_for(lambda: service.ask("/v2/health/ready")[0] == 200)
    for _ in range(40):
        ask(service, 2)
    service.process.terminate()
    service.process.wait(PATIENCE_S)
    lines = [line for _, line in read_log(log_files(folder))]

    assert len(log_files(folder)) >= 2
    assert all(isinstance(line, LoggedPrediction) for line in lines)
    assert (
        len(lines) == len({(line.request_id, line.index) for line in lines if not isinstance(line, BrokenLine)}) == 200
    )


@pytest.mark.thorough
def test_kill_9_tears_no_line_that_counts(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Workers are killed while they write, again and again: at most the last line of a file is torn."""
    folder = tmp_path / "log"
    service = serve(PUBLISHED, EVENKEEL_WORKERS="2", EVENKEEL_PREDICTION_LOG=str(folder))
    service.wait()
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            with suppress(OSError):
                service.ask("/predict", {"instances": [GENTOO] * 500})

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(6):
            enough = written_or_nothing(service) + 500
            wait_for(partial(has_written, service, enough))
            with suppress(ProcessLookupError):
                os.kill(int(children(service)[-1]), signal.SIGKILL)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    files = log_files(folder)
    read = {file: [line for _, line in read_log([file])] for file in files}

    assert len(files) > 2
    assert sum(map(len, read.values())) > 3000
    for lines in read.values():
        assert not any(isinstance(line, BrokenLine) for line in lines[:-1])
        assert not isinstance(lines[-1], BrokenLine) or lines[-1].torn
    assert Counter(type(line) for lines in read.values() for line in lines)[LoggedFeedback] == 0


def has_written(service: Service, lines: float) -> bool:
    return written_or_nothing(service) > lines


def written_or_nothing(service: Service) -> float:
    try:
        return written(service)
    except OSError:
        return 0.0
