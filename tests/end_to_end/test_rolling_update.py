"""A Deployment of `deploy/kubernetes` is rolled out, with kubelet and the endpoints played by this test: pods are real
processes of the service with the manifest's variables, its probes and its times; nodes learn of endpoints too late.
"""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from tests.conftest import find_free_port
from tests.end_to_end.conftest import Service, running
from tests.end_to_end.kubernetes import FOLDER, Resource, below, build, environment, pod_templates
from tests.service.conftest import GENTOO, PUBLISHED

BODY = json.dumps({"instance": GENTOO})
HEADERS = {"Content-Type": "application/json"}
# As late as the nodes of a large cluster, or of a small one that is busy, hear of an endpoint that is gone.
LATE_S = 3.0
PATIENCE_S = 60.0


class Endpoints:
    """Where a Service of Kubernetes sends a new connection: a pod that is ready, as far as this node knows."""

    def __init__(self) -> None:
        self.ports: list[int] = []

    def choose(self) -> int:
        return random.choice(self.ports)

    def remove_later(self, port: int) -> None:
        threading.Timer(LATE_S, lambda: self.ports.remove(port)).start()


class Client(threading.Thread):
    """Asks without a pause, by a kept connection or by a new one for each request, and asks nobody who is ready."""

    def __init__(self, endpoints: Endpoints, keeps: bool) -> None:
        super().__init__()
        self.endpoints, self.keeps = endpoints, keeps
        self.answered, self.lost = 0, list[str]()
        self.over = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1")
        while not self.over.is_set():
            if connection.sock is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.endpoints.choose(), timeout=PATIENCE_S)
            try:
                connection.request("POST", "/predict", BODY, HEADERS)
                with connection.getresponse() as answer:
                    assert answer.status == 200, answer.read()
                    answer.read()
                self.answered += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                self.lost.append(repr(error))
                connection.close()
            if not self.keeps:
                connection.close()
        connection.close()


def wait_until(condition: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.05)


def probe(service: Service, path: str) -> bool:
    try:
        return service.ask(path)[0] == 200
    except OSError:
        return False


@pytest.mark.thorough
def test_a_rolling_update_loses_no_request() -> None:
    """Two pods are replaced, each new one ready first; the old one has ended by itself before it would be killed."""
    resources = build(FOLDER / "volume")
    pod: Resource = next(pod_templates(resources))
    given = environment(pod, resources) | {"EVENKEEL_API_KEYS_FILE": "", "EVENKEEL_WORKERS": "1"}
    started, ready = (next(below(pod, name))["httpGet"]["path"] for name in ("startupProbe", "readinessProbe"))
    grace = pod["spec"]["terminationGracePeriodSeconds"]
    endpoints = Endpoints()

    with ExitStack() as stack:

        def start() -> Service:
            service = stack.enter_context(running(PUBLISHED, find_free_port(), None, **given))
            wait_until(lambda: probe(service, started))
            wait_until(lambda: probe(service, ready))
            endpoints.ports.append(int(service.url.rpartition(":")[2]))
            return service

        old, new = [start(), start()], list[Service]()
        clients = [Client(endpoints, keeps) for keeps in (False, True) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            for service in old:
                new.append(start())
                endpoints.remove_later(int(service.url.rpartition(":")[2]))
                service.process.terminate()
            for service in old:
                assert service.process.wait(grace) == 0
            answered = sum(client.answered for client in clients)
            wait_until(lambda: sum(client.answered for client in clients) > answered + 100)
        finally:
            for client in clients:
                client.over.set()
            for client in clients:
                client.join()
        # Told a second time, by what has started them, they do not drain.
        for service in new:
            service.process.terminate()

    assert [lost for client in clients for lost in client.lost] == []
    assert sum(client.answered for client in clients) > 1000
