"""Speak Marionette, the remote control that Thunderbird has on a TCP port of loopback.

A frame is its length in decimal digits, a colon, and JSON. A command is ``[0, id, name, parameters]``, its answer
``[1, id, error, result]``. Of the commands only those are used that run a script within Thunderbird.
"""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

__all__ = ["Marionette", "ScriptFailed"]

_WRAPPED = """
const [parameters, finished] = arguments;
(async () => {{ {script} }})().then(
  value => finished({{ value: value === undefined ? null : value }}),
  error => finished({{ error: `${{error}}\\n${{error?.stack ?? ""}}` }})
);
"""
_AT_ONCE = 65536


class ScriptFailed(Exception):
    """Thunderbird could not run a script; the text is what it said."""


class Marionette:
    """One session with a running Thunderbird: scripts run with its own privileges."""

    def __init__(self, port: int, *, timeout: float = 120) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._buffer = b""
        self._ids = itertools.count(1)
        try:
            self.greeting = self._receive()
            self.capabilities = self._command("WebDriver:NewSession", {})["capabilities"]
            self._command("Marionette:SetContext", {"value": "chrome"})
            self._command("WebDriver:SetTimeouts", {"script": int(timeout * 1000)})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, script: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """What the body of an asynchronous JavaScript function returns; it finds its arguments in ``parameters``.

        Raises ScriptFailed if it throws, and TimeoutError if it takes too long.
        """
        given = {
            "script": _WRAPPED.format(script=script),
            "args": [parameters or {}],
            "sandbox": "system",
            "newSandbox": True,
        }
        answer = self._command("WebDriver:ExecuteAsyncScript", given)["value"]
        if "error" in answer:
            raise ScriptFailed(answer["error"])
        return answer["value"]

    def quit(self) -> None:
        """Ask Thunderbird to end as from its menu; it goes on for some time after this returns."""
        self._command("Marionette:Quit", {"flags": ["eForceQuit"]})

    def close(self) -> None:
        """End the connection, not Thunderbird."""
        self._socket.close()

    def _command(self, name: str, parameters: Mapping[str, Any]) -> Any:
        number = next(self._ids)
        text = json.dumps([0, number, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(text), text))
        while True:
            kind, answered, error, result = self._receive()
            if kind == 1 and answered == number:
                break
        if error:
            raise ScriptFailed(f"{name}: {error['error']}: {error['message']}")
        return result

    def _receive(self) -> Any:
        while b":" not in self._buffer:
            self._more()
        length, _, self._buffer = self._buffer.partition(b":")
        while len(self._buffer) < int(length):
            self._more()
        text, self._buffer = self._buffer[: int(length)], self._buffer[int(length) :]
        return json.loads(text)

    def _more(self) -> None:
        octets = self._socket.recv(_AT_ONCE)
        if not octets:
            raise ConnectionError("Thunderbird has closed its Marionette port")
        self._buffer += octets
