"""Clients that ask without a pause, and count what was lost."""

import http.client
import json
import threading
import time
from collections.abc import Sequence
from typing import Any, Self


class Load:
    """Asks a model over half as many kept connections as there are clients; the others open one for each request.

    Nobody asks again: a request that did not get the right answer at once is lost.
    """

    def __init__(
        self,
        port: int,
        path: str,
        record: dict[str, Any],
        label: str,
        clients: int = 8,
        key: str | None = None,
        least: int = 0,
        hosts: Sequence[str] = ("127.0.0.1",),
    ) -> None:
        """It does not end before `least` requests were made. Of `hosts`, each has its share of the clients."""
        self.asked = 0
        self.lost: list[str] = []
        self._port, self._path, self._label, self._least = port, path, label, least
        self._body = json.dumps({"instance": record})
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(hosts[number // 2 % len(hosts)], number % 2 == 0))
            for number in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.reach(self._least)
        self._ended.set()
        for thread in self._threads:
            thread.join()
        print(
            f"{len(self.lost)} of {self.asked} requests lost",
            *sorted({lost[:90] for lost in self.lost})[:3],
            sep="\n  ",
        )

    def reach(self, asked: int) -> None:
        """Wait until so many requests were made."""
        while self.asked < asked:
            time.sleep(0.1)

    def _ask(self, host: str, keep: bool) -> None:
        connection = http.client.HTTPConnection(host, self._port, timeout=20)
        while not self._ended.wait(0.005):
            lost = None
            try:
                connection.request("POST", self._path, self._body, self._headers)
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 200 or answer["prediction"]["label"] != self._label:
                    lost = f"{response.status} {answer}"
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                lost = repr(error)
                connection.close()
            if not keep:
                connection.close()
            with self._lock:
                self.asked += 1
                if lost:
                    self.lost.append(lost)
        connection.close()
