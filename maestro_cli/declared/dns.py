"""`dns:` what a name resolves to: by the machine's own resolver, or by asking a DNS server for one record type.

The message format is RFC 1035 §4; only what a lookup needs of it is written here.
"""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from maestro_cli.api import Context, Evidence, Finding, Unreachable
from maestro_cli.config.declared import DnsSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "CAA": 257}
_NO_SUCH_NAME = 3
_TRUNCATED = 0x0200
_REASONS = {1: "it cannot read the question", 2: "it failed", 4: "it does not know how", 5: "it refuses"}


def observe(subject: DnsSubject, _ctx: Context, _stop: Stop) -> Finding:
    """Look it up and compare."""
    started = time.perf_counter()
    if subject.type is None and subject.server is None:
        answers = _by_the_machine(subject.name)
    else:
        answers = look_up(subject.name, subject.type or "A", subject.server, started + subject.timeout_s)
    elapsed = time.perf_counter() - started
    judgement = Judgement()
    words = ", ".join(answers) or "no such name"
    judgement.evidence.append(Evidence(subject.name, words, "resolves" if subject.resolvable else "does not resolve"))
    if bool(answers) is not subject.resolvable:
        judgement.wrong.append(f"{subject.name} {'resolves to ' + words if answers else 'does not resolve'}")
    judgement.expect("answers", answers, subject.answers)
    judgement.took(elapsed, subject)
    return judgement.finding(f"{subject.name}: {words}")


def _by_the_machine(name: str) -> list[str]:
    try:
        rows = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Unreachable("the name service", "no answer in time") from None
        return []
    return sorted({str(row[4][0]) for row in rows})


def look_up(name: str, kind: str, server: str | None, deadline: float) -> list[str]:
    """Ask a server; an empty list where there is no such name or record.

    Raises:
        Unreachable: When it does not answer, or answers that it will not.
    """
    if kind == "PTR":
        with contextlib.suppress(ValueError):
            name = ipaddress.ip_address(name).reverse_pointer
    host, port = _server(server)
    where = f"DNS server {host}:{port}"
    number = secrets.randbelow(65_536)
    question = _question(number, name, TYPES[kind])
    try:
        answer = _over_udp(question, number, host, port, deadline)
        if struct.unpack("!H", answer[2:4])[0] & _TRUNCATED:
            answer = _over_tcp(question, host, port, deadline)
        code = answer[3] & 0x0F
        if code not in (0, _NO_SUCH_NAME):
            raise Unreachable(where, _REASONS.get(code, f"it answers with code {code}"))
        return sorted(_records(answer, TYPES[kind]))
    except OSError as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or "no connection")
        raise Unreachable(where, reason) from None
    except (struct.error, IndexError, ValueError):
        raise Unreachable(where, "its answer is no DNS message") from None


def _server(configured: str | None) -> tuple[str, int]:
    if configured is not None:
        host, colon, port = configured.rpartition(":")
        if colon and port.isdigit() and ":" not in host.strip("[]"):
            return host.strip("[]"), int(port)
        return configured.strip("[]"), 53
    with contextlib.suppress(OSError):
        for line in Path("/etc/resolv.conf").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if len(words) > 1 and words[0] == "nameserver":
                return words[1], 53
    return "127.0.0.1", 53


def _question(number: int, name: str, kind: int) -> bytes:
    labels = name.rstrip(".").encode("idna").split(b".")
    encoded = b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0"
    return struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + encoded + struct.pack("!HH", kind, 1)


def _over_udp(question: bytes, number: int, host: str, port: int, deadline: float) -> bytes:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.connect(address)
        for _ in range(3):  # a datagram may be lost
            connection.send(question)
            connection.settimeout(max(0.01, (deadline - time.perf_counter()) / 3))
            with contextlib.suppress(TimeoutError):
                while True:
                    answer = connection.recv(65_535)
                    if len(answer) >= 12 and answer[:2] == struct.pack("!H", number):
                        return answer
    raise TimeoutError


def _over_tcp(question: bytes, host: str, port: int, deadline: float) -> bytes:
    with socket.create_connection((host, port), max(0.01, deadline - time.perf_counter())) as connection:
        connection.sendall(struct.pack("!H", len(question)) + question)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack("!H", stream.read(2))
            return stream.read(length)


def _records(message: bytes, wanted: int) -> Iterator[str]:
    questions, answers = struct.unpack("!HH", message[4:8])
    position = 12
    for _ in range(questions):
        position = _name(message, position)[1] + 4
    for _ in range(answers):
        position = _name(message, position)[1]
        kind, _, _, length = struct.unpack("!HHIH", message[position : position + 10])
        position += 10
        if kind == wanted:
            yield _value(message, position, length, kind)
        position += length


def _value(message: bytes, start: int, length: int, kind: int) -> str:
    data = message[start : start + length]
    if kind in (TYPES["A"], TYPES["AAAA"]):
        return str(ipaddress.ip_address(data))
    if kind in (TYPES["NS"], TYPES["CNAME"], TYPES["PTR"]):
        return _name(message, start)[0]
    if kind == TYPES["MX"]:
        return f"{struct.unpack('!H', data[:2])[0]} {_name(message, start + 2)[0]}"
    if kind == TYPES["SRV"]:
        priority, weight, port = struct.unpack("!HHH", data[:6])
        return f"{priority} {weight} {port} {_name(message, start + 6)[0]}"
    if kind == TYPES["CAA"]:
        tag = data[2 : 2 + data[1]].decode("ascii", "replace")
        return f'{data[0]} {tag} "{data[2 + data[1] :].decode("utf-8", "replace")}"'
    pieces, position = [], 0
    while position < length:
        pieces.append(data[position + 1 : position + 1 + data[position]])
        position += 1 + data[position]
    return b"".join(pieces).decode("utf-8", "replace")


def _name(message: bytes, position: int) -> tuple[str, int]:
    """A name and where it ends; pointers lead backwards only, so that a loop cannot be written."""
    labels: list[str] = []
    end, limit = -1, position
    while (length := message[position]) != 0:
        if length >= 0xC0:
            end = position + 2 if end < 0 else end
            target = (length & 0x3F) << 8 | message[position + 1]
            if target >= limit:
                raise ValueError("a pointer that does not lead back")
            position = limit = target
            continue
        labels.append(message[position + 1 : position + 1 + length].decode("ascii", "replace"))
        position += 1 + length
    return ".".join(labels), position + 1 if end < 0 else end
