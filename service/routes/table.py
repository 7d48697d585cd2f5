"""The routes, in one table: the lookup in front of Flask, Flask's own rules, the names in the metrics, the scope of the
API key and the paths of OpenAPI are all made from it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from service.access import METRICS, PREDICT
from service.prediction.protocol import WireFormat
from service.wire.explanations import EXPLANATIONS
from service.wire.instances import INSTANCES
from service.wire.invocations import INVOCATIONS
from service.wire.open_inference.answers import INFERENCE

# A parameter of a path stands for anything but a slash, and nothing with a colon, behind which the verb stands.
PARAMETER = "[^/:]+"
# A service answers the same few paths again and again; of the others an attacker draws no more memory than this.
KNOWN_PATHS = 1024


class Route(NamedTuple):
    """One method of one path. `metric` is the label in the metrics, `scope` that of the API key it needs, if any;
    `wire` is the format of a route for predictions, which Flask has no view for. One that is `long` reads a body of up
    to half a megabyte, and takes its time.
    """

    name: str
    method: str
    path: str
    metric: str
    scope: str | None = PREDICT
    wire: WireFormat | None = None
    long: bool = False


class Match(NamedTuple):
    """What a request asks for: a route, and a model in a version; None is the default one, and the one that serves."""

    route: Route
    model: str | None = None
    version: str | None = None


ROUTES = (
    Route("predict", "POST", "/predict", "predict", wire=INSTANCES),
    Route("predict_model", "POST", "/v1/models/{model}:predict", "predict", wire=INSTANCES),
    Route("predict_version", "POST", "/v1/models/{model}/versions/{version}:predict", "predict", wire=INSTANCES),
    Route("explain_model", "POST", "/v1/models/{model}:explain", "explain", wire=EXPLANATIONS),
    Route("explain_version", "POST", "/v1/models/{model}/versions/{version}:explain", "explain", wire=EXPLANATIONS),
    Route("invocations", "POST", "/invocations", "invocations", wire=INVOCATIONS),
    Route("infer", "POST", "/v2/models/{model}/infer", "infer", wire=INFERENCE),
    Route("infer_version", "POST", "/v2/models/{model}/versions/{version}/infer", "infer", wire=INFERENCE),
    Route("models", "GET", "/v1/models", "metadata"),
    Route("card", "GET", "/v1/models/{model}", "metadata"),
    Route("card_version", "GET", "/v1/models/{model}/versions/{version}", "metadata"),
    Route("report", "GET", "/v1/models/{model}/versions/{version}/report", "page"),
    # It tells of all clients' rows, as the metrics do.
    Route("drift", "GET", "/v1/models/{model}/drift", "metrics", METRICS),
    Route("drift_version", "GET", "/v1/models/{model}/versions/{version}/drift", "metrics", METRICS),
    Route("performance", "GET", "/v1/models/{model}/performance", "metrics", METRICS),
    Route("performance_version", "GET", "/v1/models/{model}/versions/{version}/performance", "metrics", METRICS),
    Route("feedback", "POST", "/v1/feedback", "feedback", long=True),
    Route("server", "GET", "/v2", "metadata"),
    # Some clients of the protocol end the path with a slash, and follow no redirect.
    Route("server_slash", "GET", "/v2/", "metadata"),
    Route("metadata", "GET", "/v2/models/{model}", "metadata"),
    Route("metadata_version", "GET", "/v2/models/{model}/versions/{version}", "metadata"),
    Route("ready_model", "GET", "/v2/models/{model}/ready", "metadata"),
    Route("ready_version", "GET", "/v2/models/{model}/versions/{version}/ready", "metadata"),
    Route("statistics", "GET", "/v2/models/{model}/stats", "metadata"),
    Route("statistics_version", "GET", "/v2/models/{model}/versions/{version}/stats", "metadata"),
    Route("index", "POST", "/v2/repository/index", "metadata"),
    Route("live", "GET", "/v2/health/live", "health", None),
    Route("ready", "GET", "/v2/health/ready", "health", None),
    # The same by the names that Kubernetes has for its own.
    Route("healthz", "GET", "/healthz", "health", None),
    Route("readyz", "GET", "/readyz", "health", None),
    Route("ping", "GET", "/ping", "health", None),
    # By the names that MLflow's scoring server has for them.
    Route("health", "GET", "/health", "health", None),
    Route("version", "GET", "/version", "metadata"),
    Route("metrics", "GET", "/metrics", "metrics", METRICS),
    Route("openapi", "GET", "/openapi.json", "page"),
    # The pages tell nothing before a key was typed in.
    Route("docs", "GET", "/docs", "page", None),
    Route("page", "GET", "/", "page", None),
    Route("static", "GET", "/static/{filename}", "page", None),
)
BY_NAME = {route.name: route for route in ROUTES}
# Answered also while there is too much to do; those of READINESS say whether the service takes requests.
READINESS = frozenset(BY_NAME[name].path for name in ("ready", "readyz", "ping", "health"))
LONG = frozenset(route.path for route in ROUTES if route.long)
HEALTH = READINESS | {BY_NAME[name].path for name in ("live", "healthz")}

_PLAIN: dict[str, Route] = {}
_PATTERNS: list[tuple[re.Pattern[str], Route]] = []
for _route in ROUTES:
    if "{" in _route.path:
        _named = re.escape(_route.path).replace(r"\{", "(?P<").replace(r"\}", f">{PARAMETER})")
        _named = _named.replace(f"<filename>{PARAMETER}", "<filename>.+")
        _PATTERNS.append((re.compile(_named), _route))
    else:
        _PLAIN[_route.path] = _route


@lru_cache(KNOWN_PATHS)
def find(path: str) -> Match | None:
    """The route of a path, whatever the method; None where there is none. No path has two."""
    if plain := _PLAIN.get(path):
        return Match(plain)
    for pattern, route in _PATTERNS:
        if match := pattern.fullmatch(path):
            named = match.groupdict()
            return Match(route, named.get("model"), named.get("version"))
    return None


def prediction(method: str, path: str) -> Match | None:
    """What a request for predictions asks for; None of any other."""
    match = find(path)
    return match if match is not None and match.route.wire is not None and method == "POST" else None


def metric_of(path: str) -> str:
    """The label of a path in the metrics."""
    match = find(path)
    return "other" if match is None else match.route.metric


def scope_of(path: str) -> str | None:
    """The scope of the API key that a path needs; None where it needs none. What is not known to be open is not."""
    match = find(path)
    return PREDICT if match is None else match.route.scope


def path_of(name: str, model: str = "{model}") -> str:
    """The path of a route, for one model or for any, in any version."""
    return BY_NAME[name].path.replace("{model}", model)
