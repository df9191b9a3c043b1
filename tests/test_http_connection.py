"""The HTTP client's connections, against servers that speak byte by byte."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http.client import HTTPException, IncompleteRead

import pytest

from maestro_cli.observe.http import Http
from maestro_cli.observe.http_connection import MAXIMUM_BODY, Connections

Serve = Callable[[socket.socket, int], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(serve: Serve) -> Iterator[str]:
    """A server that gives each accepted connection and its number to `serve`."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        number = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection, number), daemon=True).start()
            number += 1

    def answer(connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):  # the client may hang up at any time
            serve(connection, number)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.close()


def request_of(connection: socket.socket) -> bytes:
    """The head of the next request; empty where the client is gone."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b""
        data += piece
    return data


def client(url: str) -> closing[Connections]:
    return closing(Connections(url, None, None))


def ask(connections: Connections, target: str = "/", **options: float) -> tuple[int, bytes, bool]:
    answer = connections.send("GET", target, None, {}, options.get("timeout_s", 5.0))
    return (answer.status, *answer.read(time.perf_counter() + options.get("total_s", 5.0)))


def test_a_connection_is_used_again() -> None:
    served = []

    def serve(connection: socket.socket, number: int) -> None:
        while request_of(connection):
            served.append(number)
            connection.sendall(OK)

    with server(serve) as url, client(url) as connections:
        assert [ask(connections) for _ in range(3)] == [(200, b"ok", False)] * 3
    assert served == [0, 0, 0]


def test_one_that_the_server_has_closed_is_not() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(OK)

    with server(serve) as url, client(url) as connections:
        for _ in range(3):
            assert ask(connections) == (200, b"ok", False)
            time.sleep(0.05)


def test_kept_connections_that_are_all_reset_at_once_are_no_broken_service() -> None:
    both = threading.Barrier(2)

    def serve(connection: socket.socket, number: int) -> None:
        request_of(connection)
        if number < 2:  # so that there are two beside each other
            both.wait(5)
        connection.sendall(OK)
        request_of(connection)
        if number < 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets it
            return
        connection.sendall(OK)

    with server(serve) as url:
        http = Http(url, None, "0" * 12)
        with ThreadPoolExecutor(2) as crowd:
            first = [answer.status for answer in crowd.map(http.get, ("/a", "/b"))]
        assert [*first, http.get("/c").status, http.get("/d").status] == [200] * 4
        http.close()


def test_what_was_said_unasked_is_no_answer_to_the_next_request() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        request_of(connection)
        connection.sendall(OK)
        time.sleep(0.05)  # in a packet of its own
        if number == 0:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforged!")
        request_of(connection)

    with server(serve) as url, client(url) as connections:
        assert ask(connections) == (200, b"ok", False)
        time.sleep(0.15)
        assert ask(connections) == (200, b"ok", False)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nshort",
    ],
)
def test_a_body_that_ends_early_is_no_answer(head: bytes) -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(head)

    with server(serve) as url, client(url) as connections, pytest.raises(IncompleteRead):
        ask(connections)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    with server(serve) as url, client(url) as connections:
        assert ask(connections) == (200, b"all of it", False)


def test_a_chunked_body_is_put_together_and_its_connection_kept() -> None:
    served = []

    def serve(connection: socket.socket, number: int) -> None:
        while request_of(connection):
            served.append(number)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n")

    with server(serve) as url, client(url) as connections:
        assert [ask(connections)[1] for _ in range(2)] == [b"abcde", b"abcde"]
    assert served == [0, 0]


def test_a_huge_body_is_cut_short_and_said_to_be() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        while True:
            connection.sendall(b"x" * 65536)

    with server(serve) as url, client(url) as connections:
        _, body, truncated = ask(connections)
    assert len(body) == MAXIMUM_BODY
    assert truncated


def test_a_body_that_drips_ends_at_the_deadline() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b"x")
            time.sleep(0.02)

    with server(serve) as url, client(url) as connections, pytest.raises(TimeoutError):
        ask(connections, total_s=0.2)


def test_silence_ends_in_time() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        time.sleep(1)

    with server(serve) as url, client(url) as connections, pytest.raises(TimeoutError):
        ask(connections, timeout_s=0.2)


def test_what_is_not_http_is_no_answer() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    with server(serve) as url, client(url) as connections, pytest.raises(HTTPException):
        ask(connections)


def test_a_large_body_refused_half_way_is_an_answer() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.3)

    with server(serve) as url, client(url) as connections:
        answer = connections.send("POST", "/", b"x" * 20_000_000, {}, 5.0)
        assert answer.status == 413
        answer.read(time.perf_counter() + 5)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/a b?q=ü", b"/a%20b?q=%C3%BC"),
        ("/a%2Fb?x=1&y=%7B", b"/a%2Fb?x=1&y=%7B"),
        ("/100%", b"/100%25"),
        ("/x\r\nX-Evil: 1", b"/x%0D%0AX-Evil:%201"),
    ],
)
def test_a_target_is_encoded_once(asked: str, sent: bytes) -> None:
    seen = []

    def serve(connection: socket.socket, _number: int) -> None:
        seen.append(request_of(connection))
        connection.sendall(OK)

    with server(serve) as url, client(url) as connections:
        ask(connections, asked)
    assert seen[0].split(b"\r\n")[0] == b"GET " + sent + b" HTTP/1.1"


def test_a_body_behind_the_answer_to_a_head_is_not_the_next_answer() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        while (head := request_of(connection)) != b"":
            said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            connection.sendall(said)
            time.sleep(0.05 if head.startswith(b"HEAD") else 0)
            connection.sendall(b"no" if head.startswith(b"HEAD") else b"ok")

    with server(serve) as url, client(url) as connections:
        for method, body in (("HEAD", b""), ("GET", b"ok")):
            opened = connections.send(method, "/", None, {}, 3)
            assert opened.read(time.perf_counter() + 3) == (body, False)


def test_one_that_is_still_in_use_at_the_end_is_closed_afterwards() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        request_of(connection)
        connection.sendall(OK)
        ended.append(connection.recv(1) == b"")
        done.set()

    ended, done = list[bool](), threading.Event()
    with server(serve) as url:
        connections = Connections(url, None, None)
        opened = connections.send("GET", "/", None, {}, 3)
        connections.close()
        assert opened.read(time.perf_counter() + 3) == (b"ok", False)
        assert done.wait(3)
        assert ended == [True]
