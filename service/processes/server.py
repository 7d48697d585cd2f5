"""The HTTP server: what is checked and opened once, before any worker starts."""

import logging
import os
import resource
import socket
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

from models.extras import way_to
from models.repository import ModelRepository
from models.terminal import sentence_of
from service.access import read_keys
from service.errors import InvalidSetting
from service.processes.capacity import capacity, explain
from service.processes.following import following
from service.processes.listening import address, listening, reaches_beyond
from service.processes.preload import preload
from service.processes.supervisor import Supervisor
from service.settings import Settings, variable
from service.telemetry import logs

# What a worker has on top of its drain, to end.
PATIENCE_SECONDS = 12

log = logging.getLogger(__name__)


def serve(settings: Settings, warnings: Iterable[str] = ()) -> None:
    """Listen until SIGTERM or SIGINT; a worker that dies or hangs is replaced. `warnings` are logged at the start.

    :raises InvalidSetting: a setting needs what is not there, or object storage is not to be read.
    :raises OSError: the address cannot be listened on, or no worker can be started.
    """
    preload()
    # They load numpy, which has to be set up.
    from service.processes.remembered import recall
    from service.telemetry.board import Board, Metrics

    checked(settings)
    _allow_connections()
    found = capacity(settings.max_body_bytes)
    workers = settings.workers or found.workers
    with listening(settings.host, settings.port, workers) as sockets:
        # A slot for each, for one that takes another's place, and for the supervisor.
        metrics = Metrics(Board.create(workers + 2, settings.feedback_rows))
        logs.configure(settings.log_level, logs.AtOnce(metrics.count_dropped_lines))
        for warning in warnings:
            log.warning(warning)
        explain(found, workers)
        log.info("serving", extra={"address": address(settings.host, settings.port), "workers": workers})
        if not settings.api_keys_file and reaches_beyond(sockets[0]):
            log.warning("whoever reaches this address is answered: EVENKEEL_API_KEYS_FILE would ask for API keys")
        coordination, told = os.memfd_create("evenkeel-coordination"), os.memfd_create("evenkeel-told")

        def work(own: socket.socket, seat: int, beat: Callable[[], None], lifeline: int) -> None:
            # Not before the fork: libraries that start threads do not survive one.
            from service.processes.worker import work

            work(settings, own, metrics.board.seat(seat), coordination, told, beat, lifeline)

        with following(settings) as tend:
            recall(metrics.feedback, settings.prediction_log, ModelRepository(settings.root))
            Supervisor(work, sockets, settings.drain_seconds + PATIENCE_SECONDS, metrics, tend).run()


def checked(settings: Settings) -> None:
    """See whether what the settings ask for is there.

    :raises InvalidSetting: it is not; the sentence names the variable.
    """
    from service.http.root import Root
    from service.processes.prediction_log import check_log, log_rules

    if settings.tracing and find_spec("opentelemetry") is None:
        raise InvalidSetting(f"EVENKEEL_TRACING needs OpenTelemetry: {way_to('tracing')}")
    if settings.api_keys_file:
        _check_keys(settings.api_keys_file)
    if settings.root_path:
        Root(settings.root_path)
    if rules := log_rules(settings):
        check_log(rules)


def _check_keys(file: Path) -> None:
    try:
        read_keys(file)
    except OSError as error:
        raise InvalidSetting(f"{variable('api_keys_file')}: {sentence_of(error)}") from None


def _allow_connections() -> None:
    """Let a process have as many connections open as the system lets it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
