"""Every chain is accepted by every verifier at hand, and refused for another CA and for another host."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import verification

from maestro_cli.certs.hosts import parse_hosts
from maestro_cli.certs.issue import Issuer, intermediate_certificate, leaf_certificate, root_certificate
from maestro_cli.certs.keys import KEY_TYPES, KeyType, generate_key, key_to_pem

NOW = dt.datetime.now(dt.UTC)
SHAPES = ("direct", "intermediate", "client", "wildcard", "ip", "empty-subject", "constrained")
HOSTS = {
    "client": ("worker-7.example.test",),
    "wildcard": ("*.example.test",),
    "ip": ("127.0.0.1", "::1"),
}
ASKED = {"client": "worker-7.example.test", "wildcard": "api.example.test", "ip": "127.0.0.1"}


@dataclass(frozen=True)
class Case:
    """One chain in files; `asked` is what a client connects to, `wrong` a host it is not for."""

    folder: Path
    key_type: KeyType
    shape: str
    ca: Path
    other_ca: Path
    fullchain: Path
    leaf: Path
    key: Path
    intermediates: tuple[x509.Certificate, ...]
    asked: str
    wrong: str

    @property
    def purpose(self) -> str:
        return "client" if self.shape == "client" else "server"

    @property
    def is_address(self) -> bool:
        return self.shape == "ip"


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


@pytest.fixture(scope="session")
def keys() -> Callable[[KeyType, str], object]:
    made: dict[tuple[KeyType, str], object] = {}

    def get(kind: KeyType, role: str) -> object:
        # an RSA-4096 key takes most of a second: one CA key and one leaf key of each type will do
        return made.setdefault((kind, role), made.get((kind, role)) or generate_key(kind))

    return get


@pytest.fixture(scope="session", params=[f"{kind}/{shape}" for kind in KEY_TYPES for shape in SHAPES])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: Callable[..., object]) -> Case:
    kind, _, shape = request.param.partition("/")
    folder = tmp_path_factory.mktemp("chain")
    ca_key, key = keys(kind, "ca"), keys(kind, "leaf")
    hosts = parse_hosts(HOSTS.get(shape, ("api.example.test", "127.0.0.1")))
    constraints = None
    if shape == "constrained":
        from maestro_cli.certs.constraints import parse_constraints

        constraints = parse_constraints(["example.test"])
    root = root_certificate(ca_key, now=NOW, constraints=constraints)
    issuer = Issuer(root, ca_key)
    if shape in {"intermediate", "constrained"}:
        middle_key = keys(kind, "intermediate")
        middle = intermediate_certificate(middle_key.public_key(), issuer, now=NOW, constraints=constraints)
        issuer = Issuer(middle, middle_key, (middle,))
    leaf = leaf_certificate(
        key.public_key(),
        issuer,
        hosts,
        now=NOW,
        days=825 if shape == "wildcard" else 397,
        purpose="client" if shape == "client" else "server",
        subject=x509.Name([]) if shape == "empty-subject" else None,
    )
    other = root_certificate(generate_key("ec-p256"), now=NOW)
    for name, data in {
        "ca.pem": _pem(root),
        "other.pem": _pem(other),
        "fullchain.pem": _pem(leaf, *issuer.chain),
        "cert.pem": _pem(leaf),
        "intermediate.pem": _pem(*issuer.chain),
        "key.pem": key_to_pem(key),
    }.items():
        (folder / name).write_bytes(data)
    return Case(
        folder=folder,
        key_type=kind,
        shape=shape,
        ca=folder / "ca.pem",
        other_ca=folder / "other.pem",
        fullchain=folder / "fullchain.pem",
        leaf=folder / "cert.pem",
        key=folder / "key.pem",
        intermediates=issuer.chain,
        asked=ASKED.get(shape, "api.example.test"),
        wrong="127.0.0.2" if shape == "ip" else "wrong.example.org",
    )


def run(
    *command: str | Path, cwd: Path | None = None, stdin: str | None = "", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        input=stdin,
        cwd=cwd,
        timeout=timeout,
        check=False,
    )


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@contextlib.contextmanager
def tls_server(case: Case) -> Iterator[int]:
    """Serve the chain on a free port of the loopback; answers every request with `fine`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(case.fullchain, case.key)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    done = threading.Event()

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, context.wrap_socket(connection, server_side=True) as tls:
            tls.settimeout(5)
            tls.recv(4096)
            tls.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nfine"
            )

    def loop() -> None:
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = listener.accept()
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        done.set()
        thread.join()
        listener.close()


def openssl_verdict(case: Case, ca: Path, host: str) -> bool:
    flag = "-verify_ip" if case.is_address else "-verify_hostname"
    return (
        run(
            "openssl", "verify", "-x509_strict", "-purpose", f"ssl{case.purpose}", "-CAfile", ca, "-no-CApath", "-no-CAstore",
            *(["-untrusted", case.folder / "intermediate.pem"] if case.intermediates else []), flag, host, case.leaf,
        ).returncode
        == 0
    )  # fmt: skip


def python_verdict(case: Case, ca: Path, host: str) -> bool:
    """A handshake in memory with VERIFY_X509_STRICT on the verifying side, as Python 3.13's default context has it."""
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if case.purpose == "server" else ssl.PROTOCOL_TLS_SERVER)
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if case.purpose == "server" else ssl.PROTOCOL_TLS_CLIENT)
    strict.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    strict.load_verify_locations(ca)
    plain.load_cert_chain(case.fullchain, case.key)
    if case.purpose == "client":
        strict.verify_mode = ssl.CERT_REQUIRED
        strict.load_cert_chain(case.fullchain, case.key)
        plain.check_hostname = False
        plain.verify_mode = ssl.CERT_NONE
    to_strict, to_plain = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = case.purpose == "client"
    verifying = strict.wrap_bio(
        to_strict, to_plain, server_side=server_side, server_hostname=None if server_side else host
    )
    proving = plain.wrap_bio(to_plain, to_strict, server_side=not server_side)
    try:
        for _ in range(6):
            for side in (verifying, proving):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        verifying.write(b"x")
    except ssl.SSLError:
        return False
    return verifying.version() is not None


def pyca_verdict(case: Case, ca: Path, host: str) -> bool:
    store = verification.Store([x509.load_pem_x509_certificate(ca.read_bytes())])
    builder = verification.PolicyBuilder().store(store).time(NOW)
    leaf = x509.load_pem_x509_certificate(case.leaf.read_bytes())
    try:
        if case.purpose == "client":
            verified = builder.build_client_verifier().verify(leaf, list(case.intermediates))
            return any(name.value == host for name in verified.subjects or [])
        subject = x509.IPAddress(ipaddress.ip_address(host)) if case.is_address else x509.DNSName(host)
        builder.build_server_verifier(subject).verify(leaf, list(case.intermediates))
    except verification.VerificationError as error:
        print(error)
        return False
    return True


def gnutls_verdict(case: Case, ca: Path, host: str) -> bool:
    need("certtool")
    purpose = "1.3.6.1.5.5.7.3.1" if case.purpose == "server" else "1.3.6.1.5.5.7.3.2"
    result = run(
        "certtool",
        "--verify",
        "--load-ca-certificate",
        ca,
        "--verify-hostname",
        host,
        f"--verify-purpose={purpose}",
        "--infile",
        case.fullchain,
    )
    print(result.stdout, result.stderr)
    return result.returncode == 0


def nss_verdict(case: Case, ca: Path, host: str) -> bool:
    need("certutil")
    database = case.folder / f"nss-{ca.stem}"
    if not database.exists():
        database.mkdir()
        assert run("certutil", "-N", "--empty-password", "-d", database).returncode == 0
        assert run("certutil", "-A", "-n", "ca", "-t", "CT,,", "-a", "-i", ca, "-d", database).returncode == 0
        for number, certificate in enumerate(case.intermediates):
            (database / "middle.pem").write_bytes(_pem(certificate))
            run(
                "certutil",
                "-A",
                "-n",
                f"middle{number}",
                "-t",
                ",,",
                "-a",
                "-i",
                database / "middle.pem",
                "-d",
                database,
            )
        assert run("certutil", "-A", "-n", "leaf", "-t", ",,", "-a", "-i", case.leaf, "-d", database).returncode == 0
    usage = "V" if case.purpose == "server" else "C"
    result = run("certutil", "-V", "-n", "leaf", "-u", usage, "-e", "-l", "-d", database)
    print(result.stdout, result.stderr)
    return result.returncode == 0


def curl_verdict(case: Case, ca: Path, host: str) -> bool:
    need("curl")
    with tls_server(case) as port:
        url = f"https://{host}:{port}/"
        result = run("curl", "-sS", "--noproxy", "*", "--cacert", ca, "--capath", "/nonexistent", "--connect-to", f"{host}:{port}:127.0.0.1:{port}", url)  # fmt: skip
    print(result.stderr)
    return result.stdout == "fine"


NODE = """
const [ca, host, port] = process.argv.slice(2);
const tls = require('tls'), fs = require('fs'), net = require('net');
const options = {host: '127.0.0.1', port: +port, ca: fs.readFileSync(ca)};
if (net.isIP(host)) options.checkServerIdentity = (_, cert) => tls.checkServerIdentity(host, cert);
else options.servername = host;
const socket = tls.connect(options, () => { process.exit(socket.authorized ? 0 : 1); });
socket.on('error', error => { console.log(error.message); process.exit(1); });
"""


def node_verdict(case: Case, ca: Path, host: str) -> bool:
    need("node")
    script = case.folder / "verify.js"
    script.write_text(NODE)
    with tls_server(case) as port:
        result = run("node", script, ca, host, str(port))
    print(result.stdout)
    return result.returncode == 0


def gnutls_cli_verdict(case: Case, ca: Path, host: str) -> bool:
    need("gnutls-cli")
    with tls_server(case) as port:
        result = run("gnutls-cli", "--x509cafile", ca, "-p", str(port), "--verify-hostname", host, "127.0.0.1")
    print(result.stdout, result.stderr)
    return "Handshake was completed" in result.stdout


JAVA = """
import java.io.*; import java.net.*; import java.nio.file.*; import java.security.*; import java.security.cert.*; import java.util.*;
import javax.net.ssl.*;
public class Verify {
  public static void main(String[] a) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in)); String line;
    while ((line = in.readLine()) != null) { System.out.println(one(line.split(" "))); System.out.flush(); }
  }
  static String one(String[] a) {
    try {
      CertificateFactory f = CertificateFactory.getInstance("X.509");
      KeyStore trust = KeyStore.getInstance(KeyStore.getDefaultType()); trust.load(null, null);
      trust.setCertificateEntry("ca", f.generateCertificate(new ByteArrayInputStream(Files.readAllBytes(Path.of(a[0])))));
      TrustManagerFactory t = TrustManagerFactory.getInstance("PKIX"); t.init(trust);
      Collection<? extends java.security.cert.Certificate> c = f.generateCertificates(new ByteArrayInputStream(Files.readAllBytes(Path.of(a[1]))));
      X509Certificate[] chain = c.toArray(new X509Certificate[0]);
      X509TrustManager m = (X509TrustManager) t.getTrustManagers()[0];
      String algorithm = chain[0].getPublicKey().getAlgorithm();
      if (a[3].equals("client")) { m.checkClientTrusted(chain, algorithm.equals("EC") ? "EC" : algorithm); return "true"; }
      SSLContext s = SSLContext.getInstance("TLS"); s.init(null, t.getTrustManagers(), null);
      try (Socket raw = new Socket("127.0.0.1", Integer.parseInt(a[4]));
           SSLSocket k = (SSLSocket) s.getSocketFactory().createSocket(raw, a[2], Integer.parseInt(a[4]), true)) {
        SSLParameters p = k.getSSLParameters(); p.setEndpointIdentificationAlgorithm("HTTPS"); k.setSSLParameters(p);
        k.startHandshake(); return "true";
      }
    } catch (Exception e) { return "false " + e; }
  }
}
"""


class Java:
    """One virtual machine for all cases: starting it takes longer than all the verifying."""

    def __init__(self, folder: Path) -> None:
        (folder / "Verify.java").write_text(JAVA)
        compiled = run("javac", "-d", folder, folder / "Verify.java", timeout=120)
        assert compiled.returncode == 0, compiled.stderr
        self.process = subprocess.Popen(
            ["java", "-cp", str(folder), "Verify"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words: object) -> bool:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        print(answer)
        return answer.startswith("true")

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


def chromium_verdict(case: Case, ca: Path, host: str) -> bool:
    """A page loads in a headless browser whose only additional trust is `ca` (its store on Linux is NSS's of the user)."""
    program = need("chromium")
    need("certutil")
    home = case.folder / f"home-{ca.stem}"
    database = home / ".pki" / "nssdb"
    if not database.exists():
        database.mkdir(parents=True)
        assert run("certutil", "-N", "--empty-password", "-d", f"sql:{database}").returncode == 0
        assert run("certutil", "-A", "-n", "ca", "-t", "C,,", "-a", "-i", ca, "-d", f"sql:{database}").returncode == 0
    with tls_server(case) as port:
        result = subprocess.run(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--dump-dom", f"--user-data-dir={home}",
                "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * 127.0.0.1",
                f"https://{host}:{port}/",
            ],
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    print(result.stdout, result.stderr[-500:])
    return "fine" in result.stdout


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Java]:
    need("javac")
    machine = Java(tmp_path_factory.mktemp("java"))
    yield machine
    machine.stop()


VERDICTS = [
    openssl_verdict,
    python_verdict,
    pyca_verdict,
    gnutls_verdict,
    nss_verdict,
    curl_verdict,
    node_verdict,
    gnutls_cli_verdict,
    chromium_verdict,
]
SERVERS_ONLY = {chromium_verdict, curl_verdict, node_verdict, gnutls_cli_verdict}
KNOWS_NO_HOST = {nss_verdict}
KNOWS_NO_ED25519 = {pyca_verdict: "the web PKI profile", nss_verdict: "NSS 3.87", chromium_verdict: "Chromium"}
OVERZEALOUS = "pkix.invalid_domain_name_syntax"
"""pkilint counts a wildcard, and any name of one label, as a mistake; RFC 9525 and every client want the one, `localhost` is the other."""


@pytest.mark.parametrize("verdict", VERDICTS, ids=lambda verdict: verdict.__name__.removesuffix("_verdict"))
def test_the_chain_holds_and_only_for_its_ca_and_host(case: Case, verdict: Callable[[Case, Path, str], bool]) -> None:
    if case.purpose == "client" and verdict in SERVERS_ONLY:
        pytest.skip("tries servers' certificates")
    if case.key_type == "ed25519" and verdict in KNOWS_NO_ED25519:
        pytest.skip(f"{KNOWS_NO_ED25519[verdict]} refuses every Ed25519 certificate; maestro says so when it makes one")
    assert verdict(case, case.ca, case.asked)
    assert not verdict(case, case.other_ca, case.asked)
    if case.purpose == "server" and verdict not in KNOWS_NO_HOST:
        assert not verdict(case, case.ca, case.wrong)


def test_java_accepts_the_chain_and_only_for_its_ca_and_host(case: Case, java: Java) -> None:
    with tls_server(case) as port:
        assert java.ask(case.ca, case.fullchain, case.asked, case.purpose, port)
        assert not java.ask(case.other_ca, case.fullchain, case.asked, case.purpose, port)
        if case.purpose == "server":
            assert not java.ask(case.ca, case.fullchain, case.wrong, case.purpose, port)


def test_pkilint_finds_nothing(case: Case) -> None:
    program = Path(sys.executable).with_name("lint_pkix_cert")
    if not program.exists():
        pytest.skip("pkilint is not installed")
    for certificate in (case.ca, case.leaf, *([case.folder / "intermediate.pem"] if case.intermediates else [])):
        result = run(program, "lint", "-s", "NOTICE", "-f", "CSV", certificate)
        header, *findings = filter(None, result.stdout.splitlines())
        assert "severity" in header, result.stderr
        assert [line for line in findings if not (case.shape == "wildcard" and OVERZEALOUS in line)] == [], (
            certificate.name
        )
