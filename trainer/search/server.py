"""A study on a PostgreSQL server: its address, and claims as advisory locks. The only module that knows psycopg."""

import time
from urllib.parse import urlsplit

import psycopg

from trainer.errors import StorageUnreachable
from trainer.search.claims import key_of

CONNECT_S = 10
PATIENCE_S = 60.0
PAUSE_S = 1.0
# A machine that is gone without a word loses its claims after about a minute.
KEEPALIVE = "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=4"
SCHEMES = ("postgresql", "postgres")


def check_address(address: str) -> None:
    """Connect once.

    :raises StorageUnreachable: it is no address of a PostgreSQL server, or nobody answers there.
    """
    if urlsplit(address).scheme not in SCHEMES:
        raise StorageUnreachable(
            f"--storage, or EVENKEEL_STORAGE, takes postgresql://user@host/database, not {shown(address)!r}"
        )
    try:
        psycopg.connect(address, connect_timeout=CONNECT_S).close()
    except psycopg.Error as error:
        raise StorageUnreachable(f"the storage {shown(address)} cannot be reached: {_reason(error)}") from None


def for_sqlalchemy(address: str) -> str:
    """The address as SQLAlchemy spells it."""
    return "postgresql+psycopg://" + address.partition("://")[2]


def shown(address: str) -> str:
    """The address without its password."""
    parts = urlsplit(address)
    if parts.password is None:
        return address[:100]
    return address.replace(f":{parts.password}@", "@")[:100]


class ServerClaims:
    """Advisory locks of a connection: the server lets go of them when the connection ends, however it ends."""

    def __init__(self, address: str, study: str) -> None:
        self._address, self._key = address, key_of(study)
        self._connection = self._connect()

    def take(self, place: int) -> bool:
        return self._ask("SELECT pg_try_advisory_lock(%s, %s)", place)

    def release(self, place: int) -> None:
        self._ask("SELECT pg_advisory_unlock(%s, %s)", place)

    def still_has(self, place: int) -> bool:
        held = (
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() "
            "AND classid = %s::bigint::oid AND objid = %s::oid AND granted)"
        )
        return self._ask(held, place, self._key % (1 << 32))

    def close(self) -> None:
        self._connection.close()

    def _ask(self, question: str, place: int, key: int | None = None) -> bool:
        """Ask the server; over a new connection, without the claims of the old one, if that has ended."""
        for _ in range(2):
            try:
                row = self._connection.execute(question, (self._key if key is None else key, place)).fetchone()
                return bool(row and row[0])
            except psycopg.OperationalError:
                self._connection.close()
                self._connection = self._connect()
        raise StorageUnreachable(f"the storage {shown(self._address)} drops every connection")

    def _connect(self) -> psycopg.Connection:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return psycopg.connect(
                    self._address, autocommit=True, connect_timeout=CONNECT_S, options=KEEPALIVE, keepalives_idle=20
                )
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    where = shown(self._address)
                    raise StorageUnreachable(f"the storage {where} cannot be reached: {_reason(error)}") from None
                time.sleep(PAUSE_S)


def _reason(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__
