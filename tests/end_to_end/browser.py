"""A real browser, driven over the DevTools protocol through two pipes: no driver and no port besides."""

import base64
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE_S = 30.0
QUIET = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update", "--disable-sync"]
FLAGS = ["--headless", "--no-sandbox", "--disable-background-networking", "--hide-scrollbars", *QUIET]
# What a key sends: its code, and the text that it types, if any.
KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Backspace": (8, ""),
    "Delete": (46, ""),
    " ": (32, " "),
    "ArrowUp": (38, ""),
    "ArrowDown": (40, ""),
    "ArrowLeft": (37, ""),
    "ArrowRight": (39, ""),
    "End": (35, ""),
}


class Tab:
    """One page of a browser. What it cannot do within `PATIENCE_S` raises TimeoutError."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back, self._buffer, self._number = to, back, b"", 0
        self.session = ""
        # What the pages have asked for: an address, and the body that was sent.
        self.requests: list[tuple[str, str]] = []
        self.errors: list[str] = []

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call the protocol, and wait for its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + PATIENCE_S
        while True:
            answer = self._read(until)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        match event.get("method"):
            case "Network.requestWillBeSent":
                request = event["params"]["request"]
                self.requests.append((request["url"], request.get("postData", "")))
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(event["params"]["exceptionDetails"])[:2000])
            case "Log.entryAdded" if event["params"]["entry"]["level"] in ("error", "warning"):
                self.errors.append(json.dumps(event["params"]["entry"])[:2000])

    def _read(self, until: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._back], [], [], max(0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser does not answer")
            self._buffer += os.read(self._back, 1 << 20)
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def start_again(self) -> None:
        """Forget what was before: the page, what it asked for, its errors, the size of the window."""
        self.send("Page.navigate", url="about:blank")
        self.view()
        self.js("1")
        self.requests.clear()
        self.errors.clear()

    def open(self, url: str) -> None:
        """Go to an address, also to one that differs from the last only behind its #."""
        self.send("Page.navigate", url="about:blank")
        self.send("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        """The value of an expression, awaited where it is a promise."""
        result = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(json.dumps(result["exceptionDetails"])[:2000])
        return result["result"].get("value")

    def wait(self, expression: str, wanted: Callable[[Any], bool] | None = None) -> Any:
        """The value of an expression once it is as it should be, or is anything at all."""
        if wanted is None:
            expression, wanted = f"!!({expression})", bool
        until, value = time.monotonic() + PATIENCE_S, None
        while time.monotonic() < until:
            with suppress(RuntimeError):  # Between two pages there is nothing to ask.
                value = self.js(expression)
                if wanted(value):
                    return value
            time.sleep(0.02)
        raise TimeoutError(f"{expression} is {value!r}")

    def text(self, selector: str) -> str:
        """The text of the first element that a selector finds; "" where there is none."""
        return str(self.js(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))

    def choose_file(self, selector: str, path: Path) -> None:
        """Give a file to a field."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def download_into(self, folder: Path) -> None:
        """Keep what is downloaded in a folder."""
        self.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))

    def press(self, key: str, times: int = 1, modifiers: int = 0) -> None:
        """Press a key; 8 is shift, 2 is control."""
        code, typed = KEYS[key]
        for _ in range(times):
            event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            self.send("Input.dispatchKeyEvent", type="keyDown", text=typed, **event)
            self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def write(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def view(self, width: int = 1280, height: int = 800, dark: bool = False) -> None:
        """Look at the page in a window of this size."""
        phone = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def photograph(self, path: Path, whole: bool = False) -> None:
        """Keep what can be seen, or the whole page, as a PNG."""
        picture = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def browsing(profile: Path) -> Iterator[Tab]:
    """A browser with one tab, which asks for nothing but what its pages ask for."""
    reads, to = os.pipe()
    back, writes = os.pipe()
    command = ["bash", "-c", f'exec "$@" 3<&{reads} 4>&{writes}', "bash", "chromium", *FLAGS]
    command += ["--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, pass_fds=(reads, writes), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    os.close(reads)
    os.close(writes)
    try:
        tab = Tab(to, back)
        (target, *_) = [one for one in tab.send("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        tab.session = tab.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.send(f"{domain}.enable")
        # As in a window that somebody works in, so that fields hear of the focus.
        tab.send("Emulation.setFocusEmulationEnabled", enabled=True)
        tab.view()
        yield tab
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(to)
        os.close(back)
