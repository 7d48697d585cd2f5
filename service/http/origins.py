"""Pages of other origins (CORS, as the Fetch standard has it): which ones a browser lets read an answer, and what it
asks before it sends a request for them.
"""

from collections.abc import Mapping, Set
from typing import Any

from service.errors import ForeignOrigin
from service.reply import Reply

ANY = "*"
METHOD = "HTTP_ACCESS_CONTROL_REQUEST_METHOD"
# Browsers ask anew after two hours at most, whatever is allowed.
KEPT_SECONDS = 7200
# What a page may read beside the body.
EXPOSED = "ETag, Inference-Header-Content-Length, Retry-After, Server-Timing, X-Request-Id"


class Origins:
    """The origins whose pages may ask the service: each by its name, or any."""

    def __init__(self, names: Set[str]) -> None:
        self._names = names
        self._any = ANY in names

    def allow(self, origin: str) -> bool:
        """Whether pages of an origin, as the header Origin names it, may ask."""
        return self._any or origin in self._names

    def headers(self, environ: Mapping[str, Any]) -> str:
        """The header lines that every answer needs, as they are sent."""
        origin = environ.get("HTTP_ORIGIN")
        # What is the same for any origin may be kept by a cache for all of them.
        vary = "" if self._any else "Vary: Origin\r\n"
        if origin is None or not self.allow(origin):
            return vary
        named = ANY if self._any else origin
        return f"{vary}Access-Control-Allow-Origin: {named}\r\nAccess-Control-Expose-Headers: {EXPOSED}\r\n"

    def preflight(self, environ: Mapping[str, Any]) -> Reply | None:
        """The answer to a browser's question whether a page may send a request; None to any other request. It needs no
        API key, for browsers send none with it.

        :raises ForeignOrigin: the page is of an origin that may not ask.
        """
        origin = environ.get("HTTP_ORIGIN")
        if environ["REQUEST_METHOD"] != "OPTIONS" or origin is None or METHOD not in environ:
            return None
        if not self.allow(origin):
            raise ForeignOrigin(
                f"pages of {origin[:64]} may not ask; EVENKEEL_ALLOW_ORIGINS names the origins that may"
            )
        # A header that the service does not know changes nothing, so that any may be sent.
        asked = environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS")
        names = f"Access-Control-Allow-Headers: {asked}\r\n" if asked else ""
        lines = f"Access-Control-Allow-Methods: GET, HEAD, POST\r\n{names}Access-Control-Max-Age: {KEPT_SECONDS}\r\n"
        return Reply(204, b"", lines)
