"""`tcp:` whether a port takes connections, how fast, and what it says first."""

from __future__ import annotations

import contextlib
import socket
import time

from maestro_cli.api import Context, Evidence, Finding, Unreachable
from maestro_cli.config.declared import TcpSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement

BANNER_BYTES = 64_000


def observe(subject: TcpSubject, _ctx: Context, stop: Stop) -> Finding:
    """Connect and compare."""
    host, _, port = subject.address.rpartition(":")
    judgement = Judgement()
    started = time.perf_counter()
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), subject.timeout_s)
    except socket.gaierror:
        raise Unreachable(subject.address, "its name does not resolve") from None
    except OSError as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or "refused").lower()
        judgement.evidence.append(Evidence("connection", reason, "taken" if subject.reachable else "not taken"))
        if subject.reachable:
            judgement.wrong.append(f"{subject.address} takes no connection: {reason}")
        return judgement.finding(f"{subject.address} takes no connection")
    elapsed = time.perf_counter() - started
    with connection, stop.calling(lambda: _shut(connection)):
        judgement.evidence.append(Evidence("connection", "taken", "taken" if subject.reachable else "not taken"))
        if not subject.reachable:
            judgement.wrong.append(f"{subject.address} takes connections")
        judgement.took(elapsed, subject)
        if subject.send is not None:
            connection.sendall(subject.send.encode())
        if subject.banner is not None:
            judgement.expect("banner", _banner(connection, started + subject.timeout_s), subject.banner)
    return judgement.finding(f"{subject.address} takes connections")


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _banner(connection: socket.socket, deadline: float) -> str:
    """The first thing it says, up to its first pause."""
    data = b""
    while len(data) < BANNER_BYTES and (left := deadline - time.perf_counter()) > 0:
        connection.settimeout(min(left, 0.2) if data else left)
        try:
            chunk = connection.recv(BANNER_BYTES)
        except OSError:
            break
        if not chunk:
            break
        data += chunk
    return data.decode("utf-8", "replace")
