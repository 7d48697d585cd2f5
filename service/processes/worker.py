"""One worker of the service: its event loop, and the application that it builds for itself."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import cast

import uvloop

from models.cache import last_look
from models.repository import ModelRepository
from service.access import Access
from service.app import Front, create_app
from service.errors import NEVER_READY
from service.http.admission import Admission, Limits
from service.http.connection import Connection
from service.http.dispatch import Dispatcher
from service.http.origins import Origins
from service.http.root import Root
from service.prediction.prediction import Bounds
from service.processes.listening import BACKLOG
from service.processes.memory import return_large_blocks
from service.processes.prediction_log import log_rules
from service.processes.supervisor import RETIRE
from service.registry.coordination import Coordination
from service.registry.following import follow
from service.registry.registry import Registry
from service.registry.trial import Trial
from service.settings import Settings
from service.telemetry import logs
from service.telemetry.board import Board, Metrics
from service.telemetry.journal import Journal
from service.telemetry.observer import Trace
from service.telemetry.once import Once

# What a request that is on its way at the end may take.
GRACE_SECONDS = 10
# How long the last lines of the log wait for their reader.
LAST_LINES_SECONDS = 1.0

log = logging.getLogger(__name__)


def work(
    settings: Settings,
    listening: socket.socket,
    board: Board,
    coordination: int,
    told: int,
    beat: Callable[[], None],
    lifeline: int,
) -> None:
    """Serve on a socket until SIGTERM, SIGINT, RETIRE or the end of `lifeline`, calling `beat` many times a second.

    `coordination` and `told` are files in memory that all workers have in common. The process ends with NEVER_READY
    where it had no model all the time.
    """
    return_large_blocks()
    lines = logs.FromThread(Metrics(board).count_dropped_lines)
    lines.addFilter(Once(told))
    logs.configure(settings.log_level, lines)
    journal = Journal(log_rules(settings), Metrics(board).count_prediction_log)
    try:
        registry = load(settings, Coordination(coordination))
        registry.join()
        dispatcher = build(settings, board, registry, journal)

        ever_ready = False

        def tick() -> None:
            nonlocal ever_ready
            beat()
            ever_ready = ever_ready or registry.ready
            board.note({"workers_ready": registry.ready and not dispatcher.admission.draining})

        # What was built until now stays; the garbage collector need not look through it while a request waits.
        gc.freeze()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(
                _serve(dispatcher, settings.drain_seconds, listening, tick, partial(_end_alone, lines), lifeline)
            )
    finally:
        board.note({"workers_ready": 0})
        journal.finish(LAST_LINES_SECONDS)
        lines.finish(LAST_LINES_SECONDS)
    if not (ever_ready or registry.ready):
        sys.exit(NEVER_READY)


def load(settings: Settings, coordination: Coordination) -> Registry:
    """The models of a process, its own: sessions do not survive a fork. What serves is there, the rest follows."""
    repository = ModelRepository(settings.root)
    trial = Trial(repository.root, settings.trial_megabytes, coordination)
    look = partial(last_look, repository.root) if settings.url else None
    registry = Registry(repository, settings.default_model, settings.versions, trial, look)
    registry.refresh(hurried=True)
    follow(registry, repository, settings.poll_seconds)
    return registry


def build(settings: Settings, board: Board, registry: Registry, journal: Journal) -> Dispatcher:
    """The application of a process."""
    trace = _spans() if settings.tracing else None
    access = Access(settings.api_keys_file) if settings.api_keys_file else None
    drift_seconds = 3600 * settings.drift_hours
    bounds = Bounds(
        settings.max_body_bytes,
        settings.max_rows,
        settings.max_answer_bytes,
        settings.run_seconds,
        settings.extra_features == "ignore",
    )
    app = create_app(registry, bounds, board, settings.access_log, trace, access, drift_seconds, journal)
    limits = Limits(
        settings.max_body_bytes,
        settings.body_seconds,
        settings.deadline_seconds,
        settings.idle_seconds,
        settings.allowed_hosts,
        Origins(settings.allowed_origins) if settings.allowed_origins else None,
        Root(settings.root_path) if settings.root_path else None,
    )
    return Dispatcher(cast(Front, app.wsgi_app), Admission(limits, access))


async def _serve(
    dispatcher: Dispatcher,
    drain_seconds: float,
    listening: socket.socket,
    tick: Callable[[], None],
    orphaned: Callable[[], None],
    lifeline: int,
) -> None:
    """Answer until told to stop: say for some seconds that this will end, then listen no more, then end. A worker that
    has a successor listens no more at once, and says to nobody that the service is not ready.
    """
    loop = asyncio.get_running_loop()
    retired, told, at_once = asyncio.Event(), asyncio.Event(), asyncio.Event()
    for number, event in ((RETIRE, retired), (signal.SIGTERM, told), (signal.SIGINT, at_once)):
        loop.add_signal_handler(number, event.set)
    loop.add_reader(lifeline, orphaned)
    connected = partial(Connection, dispatcher)
    if listening.family == socket.AF_UNIX:
        # uvloop alone knows the last one in all versions. The file is there for the other workers, and for the next.
        server = await loop.create_unix_server(  # type: ignore[call-arg]
            connected, sock=listening, backlog=BACKLOG, cleanup_socket=False
        )
    else:
        server = await loop.create_server(connected, sock=listening, backlog=BACKLOG)
    ticking = asyncio.create_task(dispatcher.watch(tick))
    waiting = [asyncio.create_task(event.wait()) for event in (at_once, told, retired)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if told.is_set() and not at_once.is_set():
        dispatcher.admission.drain()
        await asyncio.wait(waiting[:1], timeout=drain_seconds)
    elif retired.is_set() and not at_once.is_set():
        server.close()
        dispatcher.admission.closing = True
        # Whoever has to stop now is no longer waited for.
        await asyncio.wait(waiting[:2], timeout=drain_seconds, return_when=asyncio.FIRST_COMPLETED)
    server.close()
    ticking.cancel()
    await dispatcher.close(GRACE_SECONDS)
    for task in waiting:
        task.cancel()


def _end_alone(lines: logs.FromThread) -> None:
    """Nobody would stop or replace this process any more."""
    log.error("the server's main process is gone; this worker ends too")
    lines.finish(LAST_LINES_SECONDS)
    os._exit(1)


def _spans() -> Trace:
    """OpenTelemetry, which only whoever wants it has installed."""
    from service.telemetry.tracing import spans

    return spans()
