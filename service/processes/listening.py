"""Where the service listens: TCP sockets that share an address, or one Unix socket for all workers."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from service.kinds import UNIX

# How many connections may wait for a worker that is busy, or is being replaced.
BACKLOG = 2048
# What to type where the system lets nobody listen.
WAYS = {
    errno.EADDRINUSE: "another program listens there: end it, or say --port, or EVENKEEL_PORT, with another number",
    errno.EACCES: "ports below 1024 need the right to them: say --port, or EVENKEEL_PORT, with a larger number",
    errno.EADDRNOTAVAIL: "this machine has no such address: say --host, or EVENKEEL_HOST, with one it has, or 0.0.0.0",
    socket.EAI_NONAME: "no machine has that name: say --host, or EVENKEEL_HOST, with an address of this one",
}
UNIX_WAYS = {
    errno.EADDRINUSE: "another program listens there: end it, or say --host, or EVENKEEL_HOST, with another path",
    errno.ENOENT: "there is no such folder: make it, or say --host, or EVENKEEL_HOST, with another path",
    errno.EACCES: "say --host, or EVENKEEL_HOST, with a path in a folder of yours",
}


def address(host: str, port: int) -> str:
    """Where clients find the service, as the log tells it."""
    return host if host.startswith(UNIX) else f"http://{_authority(host, port)}/"


@contextmanager
def listening(host: str, port: int, count: int) -> Iterator[list[socket.socket]]:
    """A socket for each worker. Nobody else listens at the address, and of a Unix socket nothing is left behind.

    :raises OSError: the address cannot be listened on.
    """
    if not host.startswith(UNIX):
        yield _shared(host, port, count)
        return
    path = Path(host.removeprefix(UNIX))
    try:
        one = _unix(path)
    except OSError as error:
        raise _refused(error, host, UNIX_WAYS) from None
    file, process = path.stat().st_ino, os.getpid()
    try:
        # Whichever worker is free takes the next connection.
        yield [one] * count
    finally:
        with suppress(OSError):
            # Not when a worker ends, which leaves this too; and not what another service has put in its place.
            if process == os.getpid() and path.stat().st_ino == file:
                path.unlink()


def reaches_beyond(one: socket.socket) -> bool:
    """Whether others than this machine reach a socket."""
    return one.family != socket.AF_UNIX and not ip_address(one.getsockname()[0]).is_loopback


def _unix(path: Path) -> socket.socket:
    """A Unix socket; one that a service before has left behind makes room for it."""
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        path.unlink()
    one = socket.socket(socket.AF_UNIX)
    one.bind(str(path))
    # At once: until somebody listens, another service would take it for one that was left behind.
    one.listen(BACKLOG)
    # As on loopback, every user of the machine may connect that can enter the folder: a proxy is another one.
    path.chmod(0o666)
    return one


def _shared(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets that share an address, among which the kernel spreads connections; nobody else listens there."""
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # One that shares would share with anybody.
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
        return [_socket(family, place) for _ in range(count)]
    except OSError as error:
        raise _refused(error, _authority(host, port), WAYS) from None


def _refused(error: OSError, where: str, ways: dict[int, str]) -> OSError:
    way = ways.get(error.errno or 0)
    return OSError(error.errno, f"{error.strerror}; {way}" if way else error.strerror, where)


def _authority(host: str, port: int) -> str:
    """A host and a port as they stand in a URL (RFC 3986): an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _socket(family: int, place: object) -> socket.socket:
    one = socket.socket(family)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(place)  # type: ignore[arg-type]
    return one
