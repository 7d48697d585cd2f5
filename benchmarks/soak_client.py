"""Requests whose answers are known beforehand, and connections that ask them and compare every answer."""

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from service.app import create_app
from service.prediction.prediction import Bounds
from service.registry.registry import Registry

VERSION = re.compile(rb'"(?:model_)?version":"?(\d+)')
LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
PIPELINED = 8
MOST_COMPLAINTS = 20
BODY_LIMIT = 65536


@dataclass(frozen=True)
class Asked:
    """A request as bytes and what it must be answered with: by each build of the model a body, here without the number
    of the version; or a refusal, by its status and code word.
    """

    data: bytes
    golden: tuple[bytes, ...] = ()
    status: int = 200
    code: bytes = b""

    def version(self, status: int, body: bytes) -> int:
        """The version that a right answer names; 0 for a right refusal, -1 for whatever is neither."""
        if not self.golden:
            return 0 if status == self.status and b'"code":"%b"' % self.code in body else -1
        found = VERSION.search(body)
        if status != 200 or found is None:
            return -1
        version = int(found[1])
        return version if _without_version(body) == self.golden[version % len(self.golden)] else -1


def _without_version(body: bytes) -> bytes:
    return VERSION.sub(b"", body, count=1)


def message(path: str, body: bytes, method: str = "POST", **headers: str) -> bytes:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body)), **given}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def predictions(builds: Sequence[Registry]) -> list[Asked]:
    """Several ways to ask for the golden rows. Version v of the service is build v modulo their number.

    :raises ValueError: a build answers with other probabilities than its card holds from training.
    """
    card = builds[0].predictor().card
    names = [feature.name for feature in card.features]
    rows = [row.instance for row in card.golden if None not in row.instance.values()]
    lists = [[row[name] for name in names] for row in rows]
    tensors: list[dict[str, Any]] = []
    for name, datatype, features in (("numeric", "FP32", card.numeric), ("categorical", "BYTES", card.categorical)):
        data = [[row[feature.name] for feature in features] for row in rows]
        tensors.append({"name": name, "datatype": datatype, "shape": [len(rows), len(features)], "data": data})
    documents: list[tuple[str, Any]] = [("/predict", {"instance": row.instance}) for row in card.golden]
    documents += [(f"/v1/models/{card.name}:predict", {"instance": values}) for values in lists]
    documents += [("/predict", {"instances": 8 * lists}), ("/invocations", {"dataframe_records": rows})]
    documents += [(f"/v2/models/{card.name}/infer", {"inputs": tensors})]
    clients = [create_app(build, Bounds(1 << 20)).test_client() for build in builds]
    for client, build in zip(clients, builds, strict=True):
        golden = build.predictor().card.golden
        answer = client.post("/predict", json={"instances": [row.instance for row in golden]}).get_json()
        found = [[prediction["probabilities"][label] for label in card.classes] for prediction in answer["predictions"]]
        if not np.allclose(found, [row.probabilities for row in golden], rtol=0, atol=1e-5):
            raise ValueError("a build does not answer as it did in training")
    return [
        Asked(
            message(path, body := json.dumps(document).encode()),
            tuple(
                _without_version(client.post(path, data=body, content_type="application/json").data)
                for client in clients
            ),
        )
        for path, document in documents
    ]


def refusals(name: str) -> list[Asked]:
    """Requests that must be refused, a few of every kind, after which the connection goes on."""

    def refused(status: int, code: str, path: str, body: bytes = b"{}", method: str = "POST", **headers: str) -> Asked:
        return Asked(message(path, body, method, **headers), (), status, code.encode())

    infer = f"/v2/models/{name}/infer"
    deep = b"[" * 5000
    return [
        refused(400, "malformed_json", "/predict", b"{"),
        refused(400, "malformed_json", "/predict", b'{"instance": NaN}'),
        refused(400, "malformed_json", "/predict", deep),
        refused(400, "malformed_json", "/predict", b'"\xff"'),
        refused(400, "malformed_json", "/predict", b"no gzip", Content_Encoding="gzip"),
        refused(422, "invalid_record", "/predict", b'{"instance": {}}'),
        refused(422, "invalid_record", "/predict", b'{"instance": [1, 2]}'),
        refused(422, "invalid_record", "/predict", json.dumps({"instance": {f"x{n}": n for n in range(300)}}).encode()),
        refused(422, "invalid_record", "/invocations", b'{"inputs": 3}'),
        refused(400, "invalid_tensor", infer, b'{"inputs": []}'),
        refused(400, "invalid_tensor", infer, b'{"inputs": [{"name": "numeric", "shape": [-1], "datatype": "FP32"}]}'),
        refused(415, "unsupported_media", "/predict", b"a,b", Content_Type="text/csv"),
        refused(404, "model_not_found", "/v1/models/nobody:predict"),
        refused(404, "model_not_found", f"/v1/models/{name}/versions/999999999:predict"),
        refused(404, "not_found", "/nowhere", b"", "GET"),
        refused(405, "method_not_allowed", "/predict", b"", "DELETE"),
    ]


@dataclass
class Recorder:
    """What was asked and answered, and every answer that was not the right one."""

    good: list[Asked]
    bad: list[Asked]
    bad_share: float
    counts: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    # By connection: the newest version that it was answered by, and the port it is at.
    newest: dict[int, int] = field(default_factory=dict)
    # Ports of connections that a kill may end, and when it was.
    doomed: dict[int, float] = field(default_factory=dict)
    stop: bool = False

    def complain(self, sentence: str) -> None:
        self.counts["wrong"] += 1
        if len(self.complaints) < MOST_COMPLAINTS:
            self.complaints.append(sentence)

    def requests(self, start: int) -> Iterator[Asked]:
        """Good and bad ones in turn, without end, the bad ones as often as they should come."""
        good, bad, due = start, start, 0.0
        while True:
            due += self.bad_share
            if due >= 1:
                due -= 1
                bad += 1
                yield self.bad[bad % len(self.bad)]
            else:
                good += 1
                yield self.good[good % len(self.good)]

    def note(self, port: int, asked: Asked, status: int, body: bytes) -> None:
        version = asked.version(status, body)
        if version < 0:
            self.complain(f"{asked.data[:120]!r} was answered with {status}, {body[:200]!r}")
        elif version == 0:
            self.counts["refused"] += 1
        else:
            self.counts["predicted"] += 1
            self.newest[port] = version

    async def converse(self, port: int, number: int) -> None:
        """Ask over one connection, a few requests at a time, until told to stop; over another when it is reset."""
        requests = self.requests(7 * number)
        while not self.stop:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError as error:
                self.complain(f"nobody listened: {error}")
                await asyncio.sleep(0.1)
                continue
            own = writer.get_extra_info("sockname")[1]
            began, asked = time.monotonic(), 0
            try:
                while not self.stop:
                    together = [next(requests) for _ in range(PIPELINED)]
                    writer.write(b"".join(one.data for one in together))
                    for one in together:
                        self.note(own, one, *await _answer(reader))
                        asked += 1
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                self.counts["reset"] += 1
                # Its listening socket takes connections that a worker then never gets to see.
                if own not in self.doomed and not (asked == 0 and self._killed_since(began)):
                    self.complain(f"a connection to a worker that lived was reset after {asked} answers: {error!r}")
            finally:
                self.newest.pop(own, None)
                writer.transport.abort()

    async def offend(self, port: int, offences: Sequence[bytes]) -> None:
        """Send what breaks HTTP, or is left before it is whole, each over its own connection, whatever comes."""
        numbers = count()
        while not self.stop:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                continue
            writer.write(offences[next(numbers) % len(offences)])
            with suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.05)
            writer.transport.abort()
            self.counts["offended"] += 1
            await asyncio.sleep(0.01)

    def _killed_since(self, moment: float) -> bool:
        return any(killed >= moment - 1 for killed in self.doomed.values())


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    found = LENGTH.search(head)
    return int(head[9:12]), await reader.readexactly(int(found[1])) if found else b""


async def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait for a condition; whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.005)
    return True


def offences(name: str) -> list[bytes]:
    """Broken, unfinished or far too large requests."""
    whole = message("/predict", b'{"instance": {}}')
    return [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"nonsense\r\n\r\n",
        whole[:20],
        whole[:-5],
        message("/predict", b" " * (BODY_LIMIT + 1)),
        message(f"/v2/models/{name}/infer", b"{}", Inference_Header_Content_Length="-1"),
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
    ]
