"""Where a proxy publishes the service, if that is not at the root of its host: the path before all of its paths."""

import re
from typing import Any

from service.errors import InvalidSetting
from service.routes.table import ROUTES, find

# In the place of a path: the proxy names it, with each request.
FORWARDED = "X-Forwarded-Prefix"
# Nothing that a page would have to escape, or that a browser could take for a host.
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_OWN = frozenset(route.path.split("/")[1] for route in ROUTES) - {""}


class Root:
    """A path that a proxy in front has in addition, or the word that a header of the proxy names it."""

    def __init__(self, path: str) -> None:
        """:raises InvalidSetting: it is no path, or is one of the service's own."""
        self._path = None if path.lower() == FORWARDED.lower() else path.rstrip("/")
        if self._path is None:
            return
        if not PREFIX.fullmatch(self._path):
            raise InvalidSetting(
                f"EVENKEEL_ROOT_PATH should be a path such as /api, or {FORWARDED} where the proxy in front sets that "
                f"header, not {path[:64]!r}"
            )
        if self._path.split("/")[1] in _OWN:
            raise InvalidSetting(
                f"EVENKEEL_ROOT_PATH should not begin as the service's own paths do, as {path[:64]!r} does: choose "
                "another one in the proxy"
            )

    def take_off(self, environ: dict[str, Any]) -> None:
        """Put the root of a request where WSGI has it. A proxy may have taken it off the path, or left it there."""
        if self._path is None:
            named = environ.get("HTTP_X_FORWARDED_PREFIX", "").rstrip("/")
            if PREFIX.fullmatch(named):
                environ["SCRIPT_NAME"] = named
            return
        environ["SCRIPT_NAME"] = self._path
        path = environ["PATH_INFO"]
        if find(path) is None and f"{path}/".startswith(f"{self._path}/"):
            environ["PATH_INFO"] = path[len(self._path) :] or "/"
