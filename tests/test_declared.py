"""Checks declared in maestro.yaml: each kind against the real thing, well and ill; mistakes at their line."""

from __future__ import annotations

import datetime as dt
import http.server
import os
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from maestro_cli.api import Context, Finding, Status
from maestro_cli.config import load
from maestro_cli.config.matchers import MatcherError, parse_matcher
from maestro_cli.declared import DeclaredRun, declared_checks
from maestro_cli.declared.nagios import parse_output
from maestro_cli.errors import ConfigurationError, MaestroError
from maestro_cli.observe.errors import Unreachable

PASS, WARN, FAIL, ERROR = Status.PASS, Status.WARN, Status.FAIL, Status.ERROR


@pytest.fixture
def observe(tmp_path: Path) -> Callable[..., Finding]:
    """Declare one check in YAML's flow style, run it."""

    def run(text: str, *, head: str = "", environ: dict[str, str] | None = None) -> Finding:
        path = tmp_path / "maestro.yaml"
        path.write_text(f"{head}\nchecks:\n  - {{id: health.subject, {text}}}\n")
        loaded = load(path, environ={})
        (check,) = declared_checks(loaded)
        ctx = Context(loaded, environ=dict(os.environ) if environ is None else environ)
        try:
            return check(ctx)
        except Unreachable as error:
            return Finding(ERROR, str(error))
        except MaestroError as error:
            return Finding(ERROR, error.message)
        finally:
            ctx.close()

    return run


@pytest.mark.parametrize(
    ("expected", "well", "ill"),
    [
        (200, [200, "200"], [201, "x", None, True]),
        ("ok", ["ok", " ok\n"], ["okay"]),
        (True, [True], [1, "true"]),
        (["ok", "/^a.c$/", "!no"], ["x ok\nabc"], ["ok", "ok abc no", "abc"]),
        (["\\/plain/"], ["a/plain/b"], ["plain"]),
        (["a", "b"], [["xa", "b"]], [["a"]]),
        ({"lt": 3}, [2, "2.9"], [3, "x", True, None]),
        ({"ge": 1, "le": 3}, [1, 3], [0, 4]),
        ({"not": {"equal": 3}}, [4], [3]),
        ({"or": [1, {"gt": 10}]}, [1, 11], [5]),
        ({"and": [{"have-prefix": "a"}, {"have_suffix": "c"}]}, ["abc"], ["ab"]),
        ({"contain-substring": "b"}, ["abc"], ["ac"]),
        ({"match-regexp": "^b"}, ["a\nb"], ["ab"]),
        ({"contain-element": {"gt": 3}}, [[1, 4]], [[1]]),
        ({"contain-elements": ["a", "b"]}, [["b", "c", "a"]], [["a"]]),
        ({"consist-of": ["a", {"have-prefix": "b"}]}, [["bb", "a"]], [["a", "b", "c"], ["a"]]),
        ({"have-len": 2}, [[1, 2], "ab"], [[1], 5]),
        ({"have-key-with-value": {"a": 1}}, [{"a": 1}], [{"a": 2}, {}]),
        ({"gjson": {"a.0.b": 1, "a.#": {"ge": 1}}}, ['{"a": [{"b": 1}]}'], ['{"a": []}', "nonsense", "[1]"]),
    ],
)
def test_matchers(expected: Any, well: list[Any], ill: list[Any]) -> None:
    matcher = parse_matcher(expected)
    assert matcher.words
    for observed in well:
        assert matcher(observed), (expected, observed)
    for observed in ill:
        assert not matcher(observed), (expected, observed)


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        ({"les": 3}, ".les", 'did you mean "le"'),
        ({"and": [{"lt": "x"}]}, ".and[0].lt", "expected a number"),
        (["/(/"], "[0]", "not a regular expression"),
        ({"match-regexp": "("}, ".match-regexp", "not a regular expression"),
        ({"or": 3}, ".or", "expected a list"),
        ({}, "", "names no matcher"),
    ],
)
def test_a_wrong_matcher_says_where(value: Any, path: str, words: str) -> None:
    with pytest.raises(MatcherError) as caught:
        parse_matcher(value)
    assert caught.value.path == path
    assert words in caught.value.message


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "maestro.yaml"
    path.write_text(
        """checks:
  - {id: health.Bad, http: {url: ftp://x, status: {les: 3}, statsu: 3}}
  - id: health.twice
    tcp: nowhere
  - {id: health.many, tcp: "a:1", file: x}
  - {id: health.none}
  - id: health.mode
    file: {path: x, mode: 0644}
  - {id: health.words, command: {run: "echo 'x", stdout: {and: [{lt: x}]}}}
  - {id: health.certificate, certificate: {address: "a:1", file: b.pem}}
"""
    )
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ={})
    lines = caught.value.message.splitlines()
    for number, key, words in (
        (2, "checks[0].id", "kebab-case"),
        (2, "checks[0].http.status.les", "no matcher"),
        (2, "checks[0].http.statsu", 'did you mean "status"'),
        (2, "checks[0].http.url", "https://"),
        (4, "checks[1].tcp.address", "HOST:PORT"),
        (5, "checks[2]", "names tcp and file"),
        (6, "checks[3]", "names no kind"),
        (8, "checks[4].file.mode", "in quotes"),
        (9, "checks[5].command.run", "split"),
        (9, "checks[5].command.stdout.and[0].lt", "expected a number"),
        (10, "checks[6].certificate", "one of address and file"),
    ):
        assert any(f":{number}: {key}: " in line and words in line for line in lines), (number, key, lines)


def test_an_id_declared_twice_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "maestro.yaml"
    path.write_text('checks:\n  - {id: health.x, tcp: "a:1"}\n  - {id: health.x, tcp: "a:2"}\n')
    with pytest.raises(ConfigurationError, match=r"3: checks\[1\].id: .*first in line 2"):
        load(path, environ={})


class Answers(http.server.BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        self.server.seen.append(self.headers.get("Authorization", ""))  # type: ignore[attr-defined] # ours
        body = b'{"status": "ok", "items": [{"id": 7}]}'
        if self.path == "/slow":
            time.sleep(0.3)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/")
        else:
            self.send_response(404 if self.path == "/none" else 200)
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.seen = []  # type: ignore[attr-defined] # ours
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("subject", "status", "words"),
    [
        ("url: '{web}/'", PASS, "GET {web}/ answers 200"),
        ("url: '{web}/none'", FAIL, "status is 404, expected 200"),
        ("url: '{web}/none', status: {{or: [403, 404]}}", PASS, ""),
        ("url: '{web}/moved'", FAIL, "status is 302"),
        ("url: '{web}/moved', follow_redirects: true", PASS, ""),
        ("url: '{web}/', body: [ok, '!error']", PASS, ""),
        ("url: '{web}/', body: ['/\"id\": 8/']", FAIL, "body is"),
        ("url: '{web}/', json: {{items.0.id: 7, status: ok}}", PASS, ""),
        ("url: '{web}/', json: {{items.0.id: 8}}", FAIL, "items.0.id: 8"),
        ("url: '{web}/', headers: {{x-frame-options: DENY}}", PASS, ""),
        (
            "url: '{web}/', headers: {{content-security-policy: ['default-src']}}",
            FAIL,
            "content-security-policy is null",
        ),
        ("url: '{web}/slow', within_ms: 100", FAIL, "expected at most 100"),
        ("url: '{web}/slow', warn_ms: 100", WARN, "more than 100"),
        ("url: '{web}/slow', timeout_s: 0.1", ERROR, "no answer in time"),
        ("url: 'http://127.0.0.1:1/'", ERROR, "127.0.0.1:1 is unreachable: connection refused"),
    ],
)
def test_http(observe: Callable[..., Finding], web: str, subject: str, status: Status, words: str) -> None:
    finding = observe(f"http: {{{subject.format(web=web)}}}")
    assert finding.status is status, finding
    assert words.format(web=web) in finding.message
    assert finding.evidence or status is ERROR


def test_http_sends_credentials_to_their_own_origin_only(observe: Callable[..., Finding], web: str) -> None:
    finding = observe(f"http: {{url: '{web}/', username: u, password: planted-secret, request_headers: {{A: b}}}}")
    assert finding.status is PASS
    assert "planted-secret" not in str(finding)


def test_tcp(observe: Callable[..., Finding], web: str) -> None:
    address = web.removeprefix("http://")
    assert observe(f"tcp: '{address}'").status is PASS
    closed = observe(f"tcp: {{address: '{address}', reachable: false}}")
    assert (closed.status, closed.message) == (FAIL, f"{address} takes connections")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
    assert observe(f"tcp: '{nobody}'").status is FAIL
    assert observe(f"tcp: {{address: '{nobody}', reachable: false}}").status is PASS
    banner = f"tcp: {{address: '{address}', send: \"GET / HTTP/1.0\\r\\n\\r\\n\", banner: ['HTTP/1.0 200']}}"
    assert observe(banner).status is PASS
    assert observe(banner.replace("200", "500")).status is FAIL


def test_file(observe: Callable[..., Finding], tmp_path: Path) -> None:
    file = tmp_path / "app.conf"
    file.write_text("port = 8443\n")
    file.chmod(0o640)
    (tmp_path / "link").symlink_to("app.conf")
    digest = "9e2f7a3a1b0d" * 5 + "0000"
    for subject, status, words in (
        ("app.conf", PASS, ""),
        ("missing.conf", FAIL, "missing.conf does not exist"),
        ("{path: missing.conf, exists: false}", PASS, ""),
        ("{path: app.conf, exists: false}", FAIL, "app.conf exists"),
        ('{path: app.conf, mode: "0640", type: file, size: {gt: 5}, contents: [port, "!secret"]}', PASS, ""),
        ('{path: app.conf, mode: "0600"}', FAIL, "mode is 0640, expected 0600"),
        ("{path: app.conf, contents: ['/port = 80$/']}", FAIL, "contents is"),
        ("{path: link, type: symlink, linked_to: app.conf}", PASS, ""),
        ("{path: app.conf, type: directory}", FAIL, "type is file"),
        (f"{{path: app.conf, sha256: {digest}}}", FAIL, "sha256 is"),
        ("{path: app.conf, owner: nobody-at-all}", FAIL, "owner is"),
        ("{path: app.conf, max_age_hours: 1}", PASS, ""),
    ):
        finding = observe(f"file: {subject}")
        assert finding.status is status, (subject, finding)
        assert words in finding.message
    os.utime(file, (0, 0))
    assert observe("file: {path: app.conf, max_age_hours: 1}").status is FAIL


def test_a_fifo_does_not_block_a_file_check(observe: Callable[..., Finding], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert observe("file: {path: fifo, contents: [x]}").status is FAIL


@pytest.mark.parametrize(
    ("subject", "status", "words"),
    [
        ("[echo, hello world]", PASS, "echo answers as expected"),
        ("{run: [echo, '$HOME; false'], stdout: '$HOME; false'}", PASS, ""),
        ("{run: 'echo $((1+1))', shell: true, stdout: 2}", PASS, ""),
        ("{run: 'exit 3', shell: true}", FAIL, "exit status is 3, expected 0"),
        ("{run: 'exit 3', shell: true, exit_status: {le: 3}}", PASS, ""),
        ("{run: 'echo oops >&2; exit 1', shell: true}", FAIL, "exit status is 1"),
        ("{run: 'kill -9 $$', shell: true}", FAIL, "exit status is -9"),
        ("{run: no-such-program-anywhere}", ERROR, "cannot be run: No such file"),
        ("{run: sleep 60, timeout_s: 0.2}", ERROR, "had not ended after 0.2 s"),
        ("{run: 'yes', timeout_s: 0.3}", ERROR, "had not ended"),
        ("{run: 'sleep 60 & echo done', shell: true, stdout: done}", PASS, ""),
        ("{run: 'echo $GREETING', shell: true, environment: {GREETING: hi}, stdout: hi}", PASS, ""),
        ("{run: pwd, directory: ., stdout: [/]}", PASS, ""),
        ("{run: 'head -c 3000000 /dev/zero', stdout: {have-len: 256000}}", PASS, ""),
    ],
)
def test_command(observe: Callable[..., Finding], subject: str, status: Status, words: str) -> None:
    started = time.monotonic()
    finding = observe(f"command: {subject}")
    assert finding.status is status, finding
    assert words in finding.message
    assert time.monotonic() - started < 30


def test_a_command_leaves_nothing_running_and_can_be_ended(tmp_path: Path) -> None:
    path = tmp_path / "maestro.yaml"
    path.write_text(
        f"checks:\n  - {{id: health.x, command: {{run: 'sleep 3607 & touch {tmp_path}/started; sleep 3607', shell: true, timeout_s: 50}}}}\n"
    )
    loaded = load(path, environ={})
    (check,) = declared_checks(loaded)
    assert isinstance(check.run, DeclaredRun)
    failures: list[BaseException] = []

    def go() -> None:
        try:
            check(Context(loaded, environ=dict(os.environ)))
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    thread = threading.Thread(target=go)
    thread.start()
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    check.run.cancel()
    thread.join(20)
    assert not thread.is_alive()
    left = subprocess.run(["pgrep", "-f", "sleep 3607"], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_nagios_statuses_and_performance_data(observe: Callable[..., Finding], tmp_path: Path) -> None:
    plugin = tmp_path / "check_thing"
    plugin.write_text("#!/bin/sh\necho \"THING $1 - said | /=2643MB;5948;5958;0;5968 'a b'=3%\"\nexit $1\n")
    plugin.chmod(0o755)
    for code, status in ((0, PASS), (1, WARN), (2, FAIL), (3, ERROR), (7, ERROR)):
        finding = observe(f"nagios: '{plugin} {code}'")
        assert finding.status is status
        assert finding.message == f"THING {code} - said"
    rows = {row.name: row for row in finding.evidence}
    assert (rows["/"].observed, rows["/"].expected) == ("2643MB", "warning 5948, critical 5958")
    assert rows["a b"].observed == "3%"
    assert observe(f"nagios: {{run: '{plugin} 0', perfdata: {{a b: {{lt: 3}}}}}}").status is FAIL
    assert observe(f"nagios: {{run: '{plugin} 0', perfdata: {{a b: {{le: 3}}}}}}").status is PASS
    assert observe(f"nagios: {{run: '{plugin} 0', perfdata: {{missing: {{le: 3}}}}}}").status is FAIL
    assert "not in the protocol" in observe("nagios: {run: 'exit 9', shell: true}").message
    assert observe("nagios: check_no_such_plugin -w 1").status is ERROR


def test_nagios_long_output() -> None:
    text, values = parse_output("DISK OK - free | a=1\nlong one\nlong two | b=2;3\nc=4s\n")
    assert text == "DISK OK - free"
    assert {name: value[0] for name, value in values.items()} == {"a": 1, "b": 2, "c": 4}


def test_process(observe: Callable[..., Finding]) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "planted-process-marker"]) as planted:
        try:
            assert observe("process: {name: /planted-process-marker/, count: 1}").status is PASS
            assert observe("process: {name: /planted-process-marker/, count: {gt: 1}}").status is FAIL
            assert observe("process: {name: /planted-process-marker/, running: false}").status is FAIL
            assert observe("process: {name: /planted-process-marker/, user: nobody-at-all}").status is FAIL
        finally:
            planted.kill()
    gone = observe("process: /planted-process-marker/")
    assert (gone.status, gone.message) == (FAIL, "/planted-process-marker/ does not run")
    assert observe("process: no-such-program").status is FAIL


def test_sql(observe: Callable[..., Finding], database: str, tmp_path: Path) -> None:
    head = f"database: {{url: '{database}'}}"
    assert observe("sql: {query: select 40 + 2, value: 42, within_ms: 5000}", head=head).status is PASS
    wrong = observe("sql: {query: select 40 + 2, value: {lt: 42}}", head=head)
    assert (wrong.status, wrong.message) == (FAIL, "value is 42, expected less than 42")
    assert observe("sql: {query: 'select generate_series(1, 3)', rows: 3}", head=head).status is PASS
    assert observe("sql: {query: selec 1}", head=head).message.startswith("the query cannot be run: syntax error")
    assert observe("sql: {query: create table planted (id int)}", head=head).status is ERROR  # read-only
    gone = observe("sql: select 1", head="database: {url: 'postgresql://nobody@127.0.0.1:1/none'}")
    assert (gone.status, "connection refused" in gone.message) == (ERROR, True)
    lite = f"sql: {{url: 'sqlite:///{tmp_path}/x.db', query: select 7, value: 7}}"
    assert observe(lite).status is PASS
    assert observe("sql: select 1").message == "database.url is not configured"


def test_redis(observe: Callable[..., Finding], valkey_server: Any) -> None:
    head = f"redis: {{url: '{valkey_server.url.reveal()}'}}"
    assert observe("redis: PING", head=head).status is PASS
    assert observe("redis: {command: [EXISTS, token:blacklist:none], value: 0}", head=head).status is PASS
    assert observe("redis: {command: [EXISTS, token:blacklist:none], value: {gt: 0}}", head=head).status is FAIL
    assert observe("redis: {command: NONSENSE}", head=head).status is ERROR
    assert observe("redis: {url: 'redis://127.0.0.1:1', command: PING}").status is ERROR


class NameServer(socketserver.BaseRequestHandler):
    """Knows a few records of example.test; answers `big` over TCP only."""

    def handle(self) -> None:
        stream = not isinstance(self.request, tuple)
        data = self.request.recv(4096)[2:] if stream else self.request[0]
        end = data.index(b"\0", 12)
        name, kind = data[12:end], struct.unpack("!H", data[end + 1 : end + 3])[0]
        rows = {
            (b"\x02ok", 1): [bytes([10, 0, 0, 2]), bytes([10, 0, 0, 1])],
            (b"\x02ok", 15): [struct.pack("!H", 10) + b"\x04mail\xc0\x0f"],
            (b"\x02ok", 16): [b"\x05hello\x06 world"],
            (b"\x03big", 1): [bytes([10, 0, 0, 3])],
        }.get((name.split(b"\x07example")[0], kind), [])
        truncated = name.startswith(b"\x03big") and not stream
        code = 5 if name.startswith(b"\x04deny") else 0 if rows else 3
        flags = 0x8180 | code | (0x0200 if truncated else 0)
        answer = data[:2] + struct.pack("!HHHHH", flags, 1, 0 if truncated else len(rows), 0, 0) + data[12 : end + 5]
        if not truncated:
            for row in rows:
                answer += b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(row)) + row
        if stream:
            self.request.sendall(struct.pack("!H", len(answer)) + answer)
        else:
            self.request[1].sendto(answer, self.client_address)


def twin_servers() -> tuple[socketserver.ThreadingUDPServer, socketserver.ThreadingTCPServer]:
    """Of one port, which is free for datagrams long before it is for streams: tried until it is for both."""
    for _ in range(50):
        tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), NameServer)
        try:
            return socketserver.ThreadingUDPServer(tcp.server_address, NameServer), tcp
        except OSError:
            tcp.server_close()
    pytest.fail("no port is free for both")


@pytest.fixture
def name_server() -> Iterator[str]:
    first, second = twin_servers()
    with first as udp, second as tcp:
        threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in (udp, tcp)]
        for thread in threads:
            thread.start()
        yield f"127.0.0.1:{udp.server_address[1]}"
        for server in (udp, tcp):
            server.shutdown()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize(
    ("subject", "status", "words"),
    [
        ("name: ok.example.test", PASS, "10.0.0.1, 10.0.0.2"),
        ("name: ok.example.test, answers: {{consist-of: [10.0.0.2, 10.0.0.1]}}", PASS, ""),
        ("name: ok.example.test, answers: {{contain-element: 10.0.0.9}}", FAIL, "answers is"),
        ("name: ok.example.test, type: MX", PASS, "10 mail.example.test"),
        ("name: ok.example.test, type: TXT", PASS, "hello world"),
        ("name: big.example.test", PASS, "10.0.0.3"),
        ("name: none.example.test", FAIL, "does not resolve"),
        ("name: none.example.test, resolvable: false", PASS, "no such name"),
        ("name: deny.example.test", ERROR, "it refuses"),
    ],
)
def test_dns(observe: Callable[..., Finding], name_server: str, subject: str, status: Status, words: str) -> None:
    finding = observe(f"dns: {{server: '{name_server}', {subject.format()}}}")
    assert finding.status is status, finding
    assert words in finding.message


def test_dns_of_the_machine_itself_and_of_nobody(observe: Callable[..., Finding]) -> None:
    assert observe("dns: localhost").status is PASS
    assert observe("dns: {server: '127.0.0.1:1', name: x.test, timeout_s: 0.3}").status is ERROR


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[str]:
    """A TLS server whose certificate, for localhost, holds another 20 days; its own CA is in ca.pem."""
    _self_signed(tmp_path, "ca.pem", days=20)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            listener.settimeout(0.05)
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    try:
                        context.wrap_socket(connection, server_side=True).close()
                    except OSError:
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"localhost:{listener.getsockname()[1]}"
        done.set()
        thread.join()


def _self_signed(folder: Path, name: str, *, days: int) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "planted")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - dt.timedelta(days=90))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / name).write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_certificate_of_a_server(observe: Callable[..., Finding], tls: str) -> None:
    subject = f"address: '{tls}', ca_file: ca.pem"
    soon = observe(f"certificate: {{{subject}}}")
    assert (soon.status, soon.message.startswith("it expires in ")) == (WARN, True), soon
    assert observe(f"certificate: {{{subject}, warn_days_left: 10}}").status is PASS
    assert observe(f"certificate: {{{subject}, min_days_left: 25}}").status is FAIL
    assert (
        observe(f"certificate: {{{subject}, warn_days_left: 1, subject: {{contain-substring: other}}}}").status is FAIL
    )
    stranger = observe(f"certificate: {{address: '{tls}', warn_days_left: 1}}")
    assert (stranger.status, "not trusted" in stranger.message) == (FAIL, True)
    named = observe(f"certificate: {{{subject}, server_name: elsewhere.test, warn_days_left: 1}}")
    assert "Hostname mismatch" in named.message
    assert observe("certificate: {address: '127.0.0.1:1'}").status is ERROR


def test_certificate_in_a_file(observe: Callable[..., Finding], tmp_path: Path) -> None:
    _self_signed(tmp_path, "old.pem", days=-3)
    old = observe("certificate: {file: old.pem}")
    assert (old.status, old.message) == (FAIL, "it expired 3 days ago")
    (tmp_path / "nonsense.pem").write_text("no certificate")
    assert observe("certificate: {file: nonsense.pem}").status is ERROR


def test_retries_wait_for_what_comes_up_late(observe: Callable[..., Finding], tmp_path: Path) -> None:
    late = tmp_path / "late"
    timer = threading.Timer(0.3, late.touch)
    timer.start()
    assert observe("file: late").status is FAIL
    assert observe("file: late, retries: 100, retry_wait_s: 0.05").status is PASS
    timer.join()


def test_declared_checks_run_as_a_whole_process(tmp_path: Path) -> None:
    (tmp_path / "maestro.yaml").write_text(
        "checks:\n"
        "  - {id: health.there, file: maestro.yaml, component: infrastructure, priority: medium}\n"
        "  - {id: health.gone, file: gone.txt, fix: Put it back., why: It is read at start.}\n"
    )
    command = [sys.executable, "-m", "maestro_cli", "validate", "--only", "health.there", "--only", "health.gone"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert "Put it back." in done.stdout
    assert "gone.txt does not exist" in done.stdout
    without = subprocess.run([*command, "--no-plugins"], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert without.returncode == 2


def test_the_schema_knows_a_kinds_short_form() -> None:
    import jsonschema

    from maestro_cli.config.schema import json_schema

    validator = jsonschema.Draft202012Validator(json_schema())
    rows = [
        {"id": "health.a", "tcp": "a:1"},
        {"id": "health.b", "command": ["true"]},
        {"id": "health.c", "file": {"path": "x"}},
    ]
    assert validator.is_valid({"checks": rows})
    assert not validator.is_valid({"checks": [{"id": "health.a", "tcp": {"adress": "a:1"}}]})
