"""One worker of the service: its event loop, and the application that it builds for itself."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

import uvloop

from models.repository import ModelRepository
from service.access import Access
from service.app import Front, create_app
from service.http.admission import Admission, Limits
from service.http.connection import Connection
from service.http.dispatch import Dispatcher
from service.prediction.prediction import Bounds
from service.processes.memory import return_large_blocks
from service.registry.following import follow
from service.registry.registry import Registry
from service.registry.trial import Trial
from service.settings import Settings
from service.telemetry.board import Board
from service.telemetry.observer import Trace

# How many connections may wait for a worker that is busy, or is being replaced.
BACKLOG = 2048
# What a request that is on its way at the end may take.
GRACE_SECONDS = 10

log = logging.getLogger(__name__)


def work(settings: Settings, listening: socket.socket, board: Board, beat: Callable[[], None], lifeline: int) -> None:
    """Serve on a socket until SIGTERM, SIGINT, or the end of `lifeline`, calling `beat` many times a second."""
    return_large_blocks()
    dispatcher = build(settings, board)
    # What was built until now stays; the garbage collector need not look through it while a request waits.
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(dispatcher, settings.drain_seconds, listening, beat, lifeline))


def build(settings: Settings, board: Board) -> Dispatcher:
    """The application of a process, with models of its own: sessions do not survive a fork."""
    repository = ModelRepository(settings.repository)
    trial = Trial(repository.root, settings.trial_megabytes)
    registry = Registry(repository, settings.default_model, settings.versions, trial)
    registry.refresh()
    follow(registry, repository, settings.poll_seconds)
    trace = _spans() if settings.tracing else None
    access = Access(settings.api_keys_file) if settings.api_keys_file else None
    drift_seconds = 3600 * settings.drift_hours
    bounds = Bounds(settings.max_body_bytes, settings.max_rows, settings.max_answer_bytes, settings.run_seconds)
    app = create_app(registry, bounds, board, settings.access_log, trace, access, drift_seconds)
    limits = Limits(
        settings.max_body_bytes,
        settings.body_seconds,
        settings.deadline_seconds,
        settings.idle_seconds,
        settings.allowed_hosts,
    )
    return Dispatcher(cast(Front, app.wsgi_app), Admission(limits, access))


async def _serve(
    dispatcher: Dispatcher, drain_seconds: float, listening: socket.socket, beat: Callable[[], None], lifeline: int
) -> None:
    """Answer until told to stop: say for some seconds that this will end, then listen no more, then end."""
    loop = asyncio.get_running_loop()
    told, at_once = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    loop.add_signal_handler(signal.SIGINT, at_once.set)
    loop.add_reader(lifeline, _orphaned)
    server = await loop.create_server(partial(Connection, dispatcher), sock=listening, backlog=BACKLOG)
    ticking = asyncio.create_task(dispatcher.watch(beat))
    waiting = [asyncio.create_task(event.wait()) for event in (told, at_once)]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if not at_once.is_set():
        dispatcher.admission.draining = True
        await asyncio.wait(waiting[1:], timeout=drain_seconds)
    server.close()
    ticking.cancel()
    await dispatcher.close(GRACE_SECONDS)
    for task in waiting:
        task.cancel()


def _orphaned() -> None:
    """Nobody would stop or replace this process any more."""
    log.error("the server's main process is gone; this worker ends too")
    os._exit(1)


def _spans() -> Trace:
    """OpenTelemetry, which only whoever wants it has installed."""
    from service.telemetry.tracing import spans

    return spans()
