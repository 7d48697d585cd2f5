"""One HTTP connection to a service, taken up again whenever it is cut.

A service that is restarted, overloaded or silent for a while costs time and nothing else: to ask is to change nothing,
so whatever is not answered is asked again.
"""

import http.client
import json
import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from evenkeel.errors import BY_STATUS, RefusedByService, Unreachable
from models.terminal import printable
from trainer.errors import InvalidSetting

# How long one answer may take, as a share of the patience, and the pauses between attempts, in seconds.
ANSWER_SHARE, FIRST_PAUSE_S, LONGEST_PAUSE_S = 1 / 3, 0.1, 2.0
SHORTEST_TIMEOUT_S = 0.001
LONGEST_SENTENCE = 300
# Refused for now.
LATER = (429, 502, 503)
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Reply(NamedTuple):
    """What a service has answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Later(NamedTuple):
    """An attempt that may be made again: why, after how many seconds if the service says so, and its reply if any."""

    reason: str
    wait: float | None = None
    reply: Reply | None = None


class Connection:
    """A service at an address. Nothing is sent before the first question. One thread at a time.

    `ends`, a reading of the monotonic clock, is when no question is asked again, whatever the patience.
    """

    def __init__(self, url: str, key: str | None, patience: float, tell: Callable[[str], None]) -> None:
        """:param patience: how long the service may not answer, or refuse for now, in seconds.
        :param tell: is told, in a sentence, of each question that has to be asked again.
        :raises InvalidSetting: the address is none, or the patience.
        """
        parts = urlsplit(url)
        kind = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}.get(parts.scheme)
        try:
            port = parts.port
        except ValueError:
            kind = None
        if kind is None or not parts.hostname:
            raise InvalidSetting(f"'{url[:64]}' is no address of a service; it should look like http://127.0.0.1:8080")
        if not 0 <= patience < math.inf:
            raise InvalidSetting(f"{patience:g} seconds of patience cannot be had; it should be 0 or more, such as 60")
        self.url, self.ends = url, math.inf
        self._patience, self._tell = patience, tell
        self._timeout = max(patience * ANSWER_SHARE, 1.0)
        self._connection, self._met = kind(parts.hostname, port), False
        self._base, self._headers = parts.path.rstrip("/"), {"X-API-Key": key} if key else {}

    def close(self) -> None:
        """Give the connection back; the next question opens another."""
        self._connection.close()

    def document(self, path: str) -> Any:
        """The JSON document at a path.

        :raises RefusedByService: the service refuses, or is none of ours.
        :raises Unreachable: it does not answer, or refuses for longer than the patience.
        """
        reply = self.ask("GET", path)
        if reply.status != 200:
            raise self.refusal(reply)
        try:
            return json.loads(reply.body)
        except ValueError:
            raise self.stranger() from None

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = NO_HEADERS) -> Reply:
        """A reply that is no refusal for now; the request is sent again for as long as the patience lasts.

        :raises Unreachable: it does not answer, or refuses for longer than the patience.
        """
        ends, pause = min(time.monotonic() + self._patience, self.ends), FIRST_PAUSE_S
        last: _Later | None = None
        while True:
            left = ends - time.monotonic()
            answer = self._attempt(method, path, body, headers, left)
            if isinstance(answer, Reply):
                return answer
            # An attempt that the end of the patience has cut short tells less than the refusal before it.
            if last is None or answer.reply or left >= self._timeout:
                last = answer
            left = ends - time.monotonic()
            if left <= 0:
                raise self._given_up(last, late=ends == self.ends)
            if pause == FIRST_PAUSE_S:
                self._tell(f"{self.url}: {answer.reason}; trying again for {self._patience:g} s")
            time.sleep(min(answer.wait or pause, left))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def answers(self, path: str, seconds: float) -> bool:
        """Whether a path answers with 200, at the first attempt and in so many seconds."""
        try:
            return self._send("GET", path, None, NO_HEADERS, seconds).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def refusal(self, reply: Reply) -> RefusedByService:
        """The error that a reply other than 200 stands for."""
        sentence, facts = _told(reply)
        return BY_STATUS.get(reply.status, RefusedByService)(f"{self.url}: {sentence}", **facts)

    def stranger(self) -> RefusedByService:
        """The error of an answer that no service of ours gives."""
        return RefusedByService(f"{self.url} answers, but not as a service of Evenkeel does", "no_evenkeel", 200)

    def _given_up(self, last: _Later, *, late: bool) -> Unreachable:
        waited, more = f"for {self._patience:g} seconds", "say --patience with more"
        if late:
            waited, more = "before the deadline", "say a later deadline"
        facts = _told(last.reply)[1] if last.reply else {"code": "unreachable"}
        return Unreachable(f"{self.url} has not answered {waited}; try again later, or {more}: {last.reason}", **facts)

    def _attempt(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], left: float
    ) -> Reply | _Later:
        timeout = min(self._timeout, max(left, SHORTEST_TIMEOUT_S))
        kept = self._connection.sock is not None
        try:
            try:
                reply = self._send(method, path, body, headers, timeout)
            except ConnectionError:
                # A connection that nobody used for a while has been closed by the service, which is no fault.
                if not kept:
                    raise
                reply = self._send(method, path, body, headers, timeout)
        except (OSError, http.client.HTTPException) as error:
            # Nobody waits for a service that was never there: the address may be wrong.
            if not self._met and not isinstance(error, TimeoutError | http.client.HTTPException):
                sentence = f"{self.url} cannot be reached: {_of(error)}; is it running there?"
                raise Unreachable(sentence, "unreachable") from None
            return _Later(_of(error))
        if reply.status in LATER:
            return _Later(_told(reply)[0], _retry_after(reply), reply)
        return reply

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Reply:
        connection = self._connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request(method, self._base + path, body, {**self._headers, **headers})
            with connection.getresponse() as response:
                reply = Reply(response.status, response.headers, response.read())
        except BaseException:
            connection.close()  # The next request opens another.
            raise
        self._met = True
        return reply


def _told(reply: Reply) -> tuple[str, dict[str, Any]]:
    """What a refusal says, with its status, and what a `ClientError` has beside that."""
    try:
        document = json.loads(reply.body)
        said = str(document["error"])
    except (ValueError, KeyError, TypeError):
        document, said = {}, http.client.responses.get(reply.status, "refused")  # Of a proxy in between.
    facts = {
        "code": str(document.get("code", f"http_{reply.status}")),
        "status": reply.status,
        "details": document.get("details", []),
        "request_id": document.get("request_id", reply.headers.get("X-Request-Id")),
    }
    return f"{printable(said, LONGEST_SENTENCE)} ({reply.status})", facts


def _retry_after(reply: Reply) -> float | None:
    seconds = reply.headers.get("Retry-After", "")
    return float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 9 else None


def _of(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(str(reason).lower(), LONGEST_SENTENCE)
