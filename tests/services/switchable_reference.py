"""The reference service in one process whose planted faults are changed from outside: `python switchable_reference.py PORT CERT KEY`.

A line on stdin (`jwt-alg-none,logout-noop`, or empty) plants those faults; the answer is `ok` on stdout. It saves the
second that a start takes, a hundred times. Its password hashes are cheap for the same reason.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import uvicorn
from passlib.context import CryptContext
from service import faults, main, passwords, settings

ROUNDS = 9
ANSWERS = os.fdopen(os.dup(1), "w")
"""The real standard output; the service's own log goes nowhere."""
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class Switchable:
    """An ASGI application that hands everything to the newest one."""

    def __init__(self) -> None:
        self.app: Any = main.app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)

    def plant(self, names: list[str]) -> None:
        for name in names:
            faults.on(name)  # raises for a name that is none
        faults.ACTIVE = frozenset(names)
        settings.current.cache_clear()
        self.app = main.create_app(settings.current())


def obey(switchable: Switchable) -> None:
    for line in sys.stdin:
        try:
            switchable.plant([name for name in line.strip().split(",") if name])
            answer = "ok"
        except Exception as error:  # noqa: BLE001 - told to the test
            answer = json.dumps(repr(error))
        print(answer, file=ANSWERS, flush=True)
    os._exit(0)  # whoever started it is gone


def run() -> None:
    port, cert, key = sys.argv[1:4]
    passwords._context = CryptContext(schemes=["bcrypt"], bcrypt__rounds=ROUNDS)
    passwords.NOBODYS_HASH = passwords._context.hash("nobody's password")
    switchable = Switchable()
    threading.Thread(target=obey, args=(switchable,), daemon=True).start()
    uvicorn.run(
        switchable,
        host="127.0.0.1",
        port=int(port),
        ssl_certfile=cert,
        ssl_keyfile=key,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        log_level="critical",
    )


if __name__ == "__main__":
    run()
