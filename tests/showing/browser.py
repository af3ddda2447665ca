"""Chromium without a window, driven over two pipes by its own protocol."""

import json
import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One page of a browser. troubles: what its console said of errors and warnings, and exceptions nobody caught."""

    def __init__(self, folder: Path):
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        options = (
            "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-pipe "
            "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars --mute-audio"
        )
        # Chromium reads from descriptor 3 and writes to 4.
        command = f'exec "$0" {options} --user-data-dir="$1" about:blank 3<&{read} 4>&{write}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, CHROMIUM or "", str(folder / "profile")],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._buffer, self._number, self._session = b"", 0, ""
        self.troubles: list[str] = []
        self.requests: list[str] = []
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.window(1200, 900)

    def close(self) -> None:
        """End the browser."""
        with suppress(OSError, ConnectionError):
            self._session = ""
            self.call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, **parameters):
        """What the browser answers to a command of its protocol."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        content = json.dumps(message).encode() + b"\0"
        while content:
            content = content[os.write(self._write, content) :]
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._heard(answer.get("method"), answer.get("params", {}))

    def _next(self) -> dict:
        while b"\0" not in self._buffer:
            if not (part := os.read(self._read, 1 << 20)):
                raise ConnectionError("the browser has ended")
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def _heard(self, event: str | None, told: dict) -> None:
        if event == "Runtime.exceptionThrown":
            details = told["exceptionDetails"]
            self.troubles.append(details.get("exception", {}).get("description", details["text"]))
        elif event == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
            self.troubles.append(" ".join(str(one.get("value", one.get("description"))) for one in told["args"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.troubles.append(told["entry"]["text"])
        elif event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])

    def window(self, width: int, height: int, mobile: bool = False, dark: bool = False) -> None:
        """The size of the window, and what its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def __call__(self, code: str):
        """The value of an expression of JavaScript, awaited."""
        answer = self.call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", str(answer)))
        return answer["result"].get("value")

    def until(self, code: str, seconds: float = 10) -> None:
        """Wait for an expression to be true."""
        end = time.monotonic() + seconds
        while not self(code):
            if time.monotonic() > end:
                raise TimeoutError(f"{code} is not true after {seconds} s; the console: {self.troubles}")
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Keys, one after the other."""
        codes = {"Tab": 9, "Enter": 13, "Space": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowDown": 40}
        for key in keys:
            text = {"Enter": {"text": "\r"}, "Space": {"text": " "}}.get(key, {})
            named = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": codes[key]}
            for kind in ("keyDown", "keyUp"):
                self.call("Input.dispatchKeyEvent", type=kind, **named, **(text if kind == "keyDown" else {}))
