"""The TLS probes against servers that take what they should not."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from check_support import context, expect, free_port, listening, run_check, saying
from fault_tables import TLS
from small_api import make_pair

from maestro_cli.api import Unreachable
from maestro_cli.certs import ensure_pair
from maestro_cli.observe.tls import Target, hello, offer, scan_target
from maestro_cli.observe.tls_suites import FORWARD_SECRET, WEAK, name_of

pytestmark = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")


def configured(folder: Path, port: int) -> str:
    return f"version: 1\napi: {{url: 'https://localhost:{port}', ca_file: {folder}/tls/ca.pem}}\n"


def server_context(folder: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # RSA, because key transport and most old suites need it.
    pair = ensure_pair(folder / "tls", hosts=("localhost",), key_type="rsa-2048", now=datetime.now(UTC))
    made.load_cert_chain(pair.fullchain, pair.key)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


@contextmanager
def tls_server(made: ssl.SSLContext) -> Iterator[int]:
    """Shakes hands with whoever comes."""

    def serve(connection: socket.socket) -> None:
        with made.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with listening(serve) as port:
        yield port


def plant(made: ssl.SSLContext, fault: str) -> None:
    if fault == "tls-10-taken":
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version = ssl.TLSVersion.TLSv1
    elif fault == "tls-11-taken":
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version = ssl.TLSVersion.TLSv1_1
    elif fault == "tls-null-suite":
        made.set_ciphers("ECDHE+AESGCM:NULL-SHA256:@SECLEVEL=0")
    elif fault == "tls-anonymous-suite":
        made.set_ciphers("ECDHE+AESGCM:AECDH-AES256-SHA:ADH-AES128-GCM-SHA256:@SECLEVEL=0")
    elif fault == "tls-static-rsa":
        made.set_ciphers("ECDHE+AESGCM:AES128-GCM-SHA256")
    elif fault == "tls-cbc-alone":
        made.set_ciphers("ECDHE-RSA-AES256-SHA")


@pytest.mark.parametrize("fault", TLS)
def test_a_fault_turns_its_check_and_not_the_other(project: Path, fault: str) -> None:
    made = server_context(project)
    plant(made, fault)
    red, status = TLS[fault]
    other = {"security.tls-versions": "security.tls-suites", "security.tls-suites": "security.tls-versions"}[red]
    with tls_server(made) as port:
        expect(run_check(red, context(project, configured(project, port))), status)
        result = run_check(other, context(project, configured(project, port)))
    # Old versions come with old suites; a server that takes both is reported by both.
    assert result.status == "pass" or fault in {"tls-10-taken", "tls-11-taken"}


def test_a_healthy_endpoint(project: Path) -> None:
    made = server_context(project)
    made.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    with tls_server(made) as port:
        ctx = context(project, configured(project, port))
        expect(run_check("security.tls-versions", ctx), "pass", "TLS 1.3 and TLS 1.2", "nothing older")
        expect(run_check("security.tls-suites", context(project, configured(project, port))), "pass", "none taken")


def test_tls_13_alone_is_enough(project: Path) -> None:
    made = server_context(project)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    with tls_server(made) as port:
        expect(run_check("security.tls-versions", context(project, configured(project, port))), "pass", "takes TLS 1.3")


def test_the_hello_is_one_that_openssl_reads(project: Path) -> None:
    made = server_context(project)
    chosen: list[str] = []
    with tls_server(made) as port:
        for version, suites in ((0x0303, FORWARD_SECRET), (0x0304, (0x1301,)), (0x0304, (0x1302,))):
            choice = offer(Target("localhost", port), version, suites)
            assert choice.version == version
            assert choice.suite in suites
            chosen.append(name_of(choice.suite or 0))
    assert chosen[1:] == ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]


def test_a_hello_names_the_host_but_not_an_address() -> None:
    assert b"api.example.test" in hello("api.example.test", 0x0303, WEAK)
    assert b"127.0.0.1" not in hello("127.0.0.1", 0x0303, WEAK)


def hanging(connection: socket.socket) -> None:
    connection.recv(1024)
    connection.settimeout(30)
    connection.recv(1024)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\nThis is an HTTP server, not a TLS one, and says so at length.", "not TLS"),
        (b"", "closed"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "alert 40"),
        (b"\x16\x03\x03\x00\x30" + b"\xff" * 48, "not TLS"),
    ],
)
@pytest.mark.parametrize("check", ["security.tls-versions", "security.tls-suites"])
def test_what_is_no_tls_server_is_an_error_and_never_a_pass(
    project: Path, check: str, answer: bytes, reason: str
) -> None:
    with saying(answer) as port:
        ctx = context(project, configured(project, port))
        result = run_check(check, ctx)
    assert result.status == "error"
    assert reason in ctx.down["the API"]


def test_a_server_that_hangs_is_given_up(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro_cli.observe.tls.ANSWER_S", 0.3)
    with listening(hanging) as port, pytest.raises(Unreachable, match="no answer in time"):
        scan_target(Target("localhost", port))


def test_nobody_there() -> None:
    with pytest.raises(Unreachable, match="connection refused"):
        scan_target(Target("localhost", free_port()))


@pytest.mark.parametrize("check", ["security.tls-versions", "security.tls-suites"])
def test_without_https_there_is_nothing_to_look_at(project: Path, check: str) -> None:
    result = run_check(check, context(project, "version: 1\napi: {url: 'http://localhost:1'}\n"))
    assert result.status == "skip"


def test_the_small_services_certificate_can_be_read(project: Path) -> None:
    from maestro_cli.observe.tls import certificate_pem

    pair = make_pair(project / "tls")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*pair)
    with tls_server(made) as port:
        pem = certificate_pem(context(project, configured(project, port)))
    assert pem.split() == pair[0].read_bytes().split()
