"""The HTTP server: granian's supervisor, and the application each of its workers builds for itself."""

import gc
import logging
import os
import resource
import socket
from importlib.util import find_spec
from ipaddress import ip_address
from typing import cast

from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels

from models.repository import ModelRepository
from service.access import Access, read_keys
from service.app import create_app
from service.drain import Drain, on_sigterm
from service.errors import InvalidSetting
from service.front import Front
from service.gateway import Gateway, Limits
from service.lifecycle.following import end_with_parent, follow
from service.lifecycle.trial import Trial
from service.registry import Registry
from service.settings import Settings, available_cores
from service.telemetry import logs
from service.telemetry.metrics import Board
from service.telemetry.observer import Trace

GRACE_SECONDS = 10
# How many connections a worker takes; the others wait in the kernel. An idle one costs a few kilobytes.
CONNECTIONS = 2048
# A request's head must fit into twice as much at the most.
HEAD_BYTES = 32 << 10
# How a worker hears of what it shares with the others: the metrics, and that the service is stopping.
BOARD, DRAIN = "EVENKEEL_METRICS_BOARD", "EVENKEEL_DRAIN"

log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Listen until SIGTERM or SIGINT; a worker that dies is replaced.

    :raises OSError: the address cannot be listened on.
    """
    if settings.tracing and find_spec("opentelemetry") is None:
        raise InvalidSetting("EVENKEEL_TRACING needs OpenTelemetry: install evenkeel[tracing]")
    if settings.api_keys_file:
        read_keys(settings.api_keys_file)
    workers = settings.workers or available_cores()
    # Twice the slots: a worker that is being replaced still holds its own.
    board = Board.create(slots=2 * workers)
    os.environ[BOARD] = board.path
    drain = Drain.create()
    os.environ[DRAIN] = drain.path
    _allow_connections()
    address = _free_address(settings.host, settings.port)
    server = Granian(
        "service.server:worker",
        factory=True,
        interface=Interfaces.RSGI,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=round(1000 * settings.idle_seconds), max_buffer_size=HEAD_BYTES
        ),
        backlog=CONNECTIONS,
        backpressure=CONNECTIONS,
        address=address,
        port=settings.port,
        websockets=False,
        workers=workers,
        respawn_failed_workers=True,
        workers_kill_timeout=GRACE_SECONDS,
        # Below an error the server only tells of its start, in four lines, and warns of its own defaults.
        log_level=LogLevels.error,
        log_dictconfig=logs.configuration(settings.log_level),
    )
    server.on_startup(lambda: on_sigterm(drain, settings.drain_seconds, server.signal_handler_interrupt))
    log.info("serving", extra={"address": f"http://{settings.host}:{settings.port}/", "workers": workers})
    if not settings.api_keys_file and not ip_address(address).is_loopback:
        log.warning("whoever reaches this address is answered: EVENKEEL_API_KEYS_FILE would ask for API keys")
    server.serve()


def _free_address(host: str, port: int) -> str:
    """Resolve a host, and make sure that nobody listens there: granian would share the port in silence."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from None
    return str(address[0])


def _allow_connections() -> None:
    """Let a process have as many connections open as the system lets it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def worker() -> Gateway:
    """Build the application inside a worker process: sessions do not survive a fork, so each worker loads its own."""
    settings = Settings.from_environment(os.environ)
    end_with_parent()
    repository = ModelRepository(settings.repository)
    trial = Trial(repository.root, settings.trial_megabytes)
    registry = Registry(repository, settings.default_model, settings.versions, trial)
    registry.refresh()
    follow(registry, repository, settings.poll_seconds)
    trace = _spans() if settings.tracing else None
    access = Access(settings.api_keys_file) if settings.api_keys_file else None
    board = Board.open(os.environ[BOARD])
    drift_seconds = 3600 * settings.drift_hours
    app = create_app(registry, settings.max_body_bytes, board, settings.access_log, trace, access, drift_seconds)
    limits = Limits(settings.max_body_bytes, settings.body_seconds, settings.deadline_seconds)
    gateway = Gateway(cast(Front, app.wsgi_app), access, Drain.open(os.environ[DRAIN]), limits)
    # What was built until now stays; the garbage collector need not look through it while a request waits.
    gc.freeze()
    return gateway


def _spans() -> Trace:
    """OpenTelemetry, which only whoever wants it has installed."""
    from service.telemetry.tracing import spans

    return spans()
