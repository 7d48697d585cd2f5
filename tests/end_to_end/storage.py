"""A real server of S3, SeaweedFS, on loopback; and what may stand between it and its client."""

import http.client
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread

from tests.conftest import find_free_port

WEED = Path(sys.executable).parent / "weed"
PARTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
CREDENTIALS = {"accessKey": "key", "secretKey": "secret"}
IDENTITIES = [
    {"name": "tests", "credentials": [CREDENTIALS], "actions": ["Admin", "Read", "Write", "List"]},
    {"name": "reader", "credentials": [{"accessKey": "reader", "secretKey": "secret"}], "actions": ["Read", "List"]},
]


@contextmanager
def seaweed(folder: Path) -> Iterator[int]:
    """The port of a server that makes each bucket that something is put into."""
    folder.mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps({"identities": IDENTITIES}))
    (folder / "data").mkdir()
    port = find_free_port()
    ports = [f"-{part}={find_free_port()}" for part in (*PARTS, "s3.port.grpc")]
    options = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-volume.max=4", "-s3.iam=false"]
    options += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    options += ["-master.volumeSizeLimitMB=64", f"-dir={folder / 'data'}", "-filer", "-s3", f"-s3.port={port}"]
    command = [str(WEED), "server", *options, *ports, f"-s3.config={folder / 's3.json'}"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as server:
        try:
            _wait(port)
            yield port
        finally:
            server.kill()


def _wait(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=2)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the server of S3 does not answer")


def environment(port: int, host: str = "127.0.0.1") -> dict[str, str]:
    """What a client is told of it."""
    return {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": CREDENTIALS["accessKey"],
        "AWS_SECRET_ACCESS_KEY": CREDENTIALS["secretKey"],
        "AWS_ALLOW_HTTP": "true",
    }


class Between:
    """Passes requests on to a server. `before` and `after` are called with the number of each request, from 0 on.

    `before` may return a status that is answered in the server's place, or 0 to cut the connection; `torn` requests
    lose the second half of their answer.
    """

    def __init__(self, server: int, host: str = "127.0.0.1") -> None:
        self.before: Callable[[int], int | None] = lambda _: None
        self.after: Callable[[int], None] = lambda _: None
        self.torn: set[int] = set()
        self.requests = 0
        self._lock = Lock()
        self._server = ThreadingHTTPServer((host, find_free_port()), _handler(self, server))
        self.port: int = self._server.server_address[1]
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def number(self) -> int:
        with self._lock:
            self.requests += 1
            return self.requests - 1

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(between: Between, server: int) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass_on(self) -> None:
            self.close_connection = True
            number = between.number()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if (status := between.before(number)) is not None:
                if status:
                    self.send_error(status)
                return
            upstream = http.client.HTTPConnection("127.0.0.1", server, timeout=20)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            data = answer.read()
            upstream.close()
            between.after(number)
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(OSError):  # Of a client that was killed.
                self.wfile.write(data[: len(data) // 2] if number in between.torn else data)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass_on  # noqa: N815

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Nothing."""

    return Handler
