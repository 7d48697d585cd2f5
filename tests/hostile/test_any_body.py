"""Any body at all: what is drawn is answered or refused in words, by the same worker, in bounded memory and time."""

import gzip
import http.client
import json
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from models.repository import ModelRepository
from tests.conftest import find_free_port
from tests.end_to_end.conftest import running

pytest.importorskip("onnx")

from tests.hostile.unfolding import SHAPES, UNITS, Body, bodies, fill, publish, tables
from tests.hostile.vitals import HEALTH_S, Vitals, worker_of

LIMIT = 2 << 20
DEFAULT = "mixed"
PATIENCE_S = 60.0
STATUSES = {200, 400, 411, 413, 415, 422}
PATHS = ["/predict", "/invocations", *(f"/v1/models/{name}:predict" for name in SHAPES)]
PATHS += [f"/v2/models/{name}/infer" for name in SHAPES]
TYPES = ["application/json", "text/csv", "application/octet-stream", "text/csv; charset=utf-16", "text/plain"]
KEYS = [
    "instance",
    "instances",
    "inputs",
    "outputs",
    "dataframe_split",
    "dataframe_records",
    "columns",
    "data",
    "params",
]
KEYS += ["name", "shape", "datatype", "parameters", "binary_data_size", "id", "explain", "n0", "n1", "t0", "t1"]
TEXTS = st.sampled_from(["numeric", "categorical", "probabilities", "label", "FP32", "INT8", "BYTES", "a", "b", "ü"])
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS | st.text()
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=6),
    max_leaves=20,
)
BEGINNINGS = [b'{"instances":[', b'{"instance":[', b'{"inputs":[', b'{"dataframe_records":[', b'{"inputs":[{"data":[']
BEGINNINGS += [b'{"inputs":[{"name":"numeric","datatype":"FP32","shape":[9,2],"data":[', b"[", b"n0,n1,t0,t1\n", b""]


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A document; or something short, often, between what may stand before and behind it; or just bytes."""
    kind = draw(st.sampled_from(["document", "often", "often", "bytes"]))
    if kind == "document":
        return json.dumps(draw(DOCUMENTS)).encode()
    if kind == "bytes":
        return draw(st.binary(max_size=2000))
    unit = draw(st.sampled_from(UNITS) | DOCUMENTS.map(lambda one: json.dumps(one).encode()) | st.binary(min_size=1))
    size = draw(st.sampled_from([100, 10_000, 16_000, 300_000, 1 << 20, LIMIT - 100, LIMIT + 100]))
    end = draw(st.sampled_from([b"]}", b"]}]}", b"]", b"", b"}"]))
    return fill(draw(st.sampled_from(BEGINNINGS)), unit, end, size, draw(st.sampled_from([b",", b"\n", b", "])))


@st.composite
def right(draw: st.DrawFn) -> Body:
    """A body of the catalogue, for a model that it may ask; perhaps with a part of it gone, or spoilt."""
    name, dice = draw(st.sampled_from(sorted(SHAPES))), draw(st.randoms(use_true_random=False))
    size = draw(st.sampled_from([300, 4000, 16_000, 300_000, 1 << 20, LIMIT - 4096]))
    made = bodies(name, size, dice) | (tables(name, size, dice) if name == DEFAULT else {})
    body = made[draw(st.sampled_from(sorted(made)))]()
    if draw(st.integers(0, 3)):
        return body
    place, piece = draw(st.floats(0, 1)), draw(st.sampled_from([*UNITS, b"", b"}", b"]", b'"', b"\\"]))
    at = int(place * len(body.text))
    return body._replace(text=body.text[:at] + piece + body.text[at + draw(st.integers(0, 9)) :])


@st.composite
def wrong(draw: st.DrawFn) -> Body:
    """What is drawn without regard to any model."""
    text, headers = draw(texts()), {}
    if draw(st.integers(0, 4)) == 0:
        headers["Inference-Header-Content-Length"] = str(
            draw(st.sampled_from([0, 1, len(text) // 2, len(text), 10**9]))
        )
    content_type = draw(st.sampled_from(TYPES[:1] * 5 + TYPES))
    return Body(draw(st.sampled_from(PATHS)), content_type, text, tuple(headers.items()))


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, dict[str, str], bytes, bool]:
    """Where to, headers, what, and whether in chunks."""
    body = draw(st.booleans().flatmap(lambda known: right() if known else wrong()))
    text, headers = body.text, {"Content-Type": body.content_type} | dict(body.headers)
    coding = draw(st.sampled_from(["", "", "", "gzip", "deflate", "a lie"]))
    if coding:
        headers["Content-Encoding"] = "gzip" if coding == "a lie" else coding
        text = gzip.compress(text, 1) if coding == "gzip" else zlib.compress(text, 1) if coding == "deflate" else text
    return body.path, headers, text, draw(st.booleans())


@pytest.fixture(scope="module")
def vitals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vitals]:
    """A service of models of every shape."""
    folder = tmp_path_factory.mktemp("any")
    repository = ModelRepository(folder / "store")
    for name, shape in SHAPES.items():
        publish(repository, name, shape)
    port = find_free_port()
    limits = {"EVENKEEL_MAX_BODY_BYTES": str(LIMIT), "EVENKEEL_DEADLINE_SECONDS": "60", "EVENKEEL_RUN_SECONDS": "60"}
    more = {"EVENKEEL_DEFAULT_MODEL": DEFAULT, "EVENKEEL_TRIAL_MEGABYTES": "1024"}
    with (folder / "log").open("wb") as log, running(folder / "store", port, log, **limits, **more) as service:
        service.wait()
        vitals = Vitals(service, port, LIMIT)
        yield vitals
        vitals.close()
        assert worker_of(service) == vitals.worker
        assert "traceback" not in (folder / "log").read_text()


def ask(port: int, path: str, headers: dict[str, str], text: bytes, chunked: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    pieces = [text[start : start + 50_000] for start in range(0, len(text), 50_000)]
    connection.request("POST", path, iter(pieces) if chunked else text, headers, encode_chunked=chunked)
    with connection.getresponse() as answer:
        content = answer.read()
        assert answer.status in STATUSES, (answer.status, content[:500])
        if answer.status != 200:
            refusal = json.loads(content)
            assert set(refusal) == {"error", "code", "details", "request_id"}
            assert len(refusal["details"]) <= 20
            assert len(content) < 16384
    connection.close()


# Of what has failed, a body of a megabyte is part.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
def test_any_body_is_answered_in_bounds(vitals: Vitals, request: pytest.FixtureRequest) -> None:
    """An allowed status, the worker alive, health in time and memory bounded, whatever is drawn."""
    long = request.config.getoption("long")

    @settings(
        max_examples=3000 if long else 60,
        deadline=None,
        database=None,
        derandomize=not long,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if long else [Phase.generate],
    )
    @given(requests())
    def hold(drawn: tuple[str, dict[str, str], bytes, bool]) -> None:
        path, headers, text, chunked = drawn
        if chunked:
            headers = headers | {"Transfer-Encoding": "chunked"}
        case = f"{path} {headers} {text[:60]!r} {len(text)}"
        vitals.hold(case, lambda: ask(vitals.port, path, headers, text, chunked), HEALTH_S)

    hold()
