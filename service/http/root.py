"""Where a proxy publishes the service, if that is not at the root of its host: the path before all of its paths."""

import re
from typing import Any

from service.errors import InvalidSetting
from service.routes.table import ROUTES, find

# In the place of a path: the proxy names it, with each request.
FORWARDED = "X-Forwarded-Prefix"
# Nothing that a page would have to escape, or that a browser could take for a host or for a step up.
PREFIX = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
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
        root = self._path
        if root is None:
            root = environ.get("HTTP_X_FORWARDED_PREFIX", "").rstrip("/")
            if not PREFIX.fullmatch(root):
                return
        environ["SCRIPT_NAME"] = root
        path = environ["PATH_INFO"]
        if find(path) is None and f"{path}/".startswith(f"{root}/"):
            environ["PATH_INFO"] = path[len(root) :] or "/"
