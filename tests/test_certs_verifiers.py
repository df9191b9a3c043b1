"""Every chain is accepted by every verifier at hand, and refused for another CA and for another host.

OpenSSL, Python, pyca, GnuTLS's certtool, Java and Go (where installed) see every key type in every shape. The slower ones (NSS,
curl, Node.js, gnutls-cli, pkilint, Chromium) see every shape with P-256 keys, and every key type in the plain shape.
"""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from certs_support import key, pem, tls_server
from cryptography import x509
from cryptography.x509 import verification

from maestro_cli.certs.constraints import parse_constraints
from maestro_cli.certs.hosts import parse_hosts
from maestro_cli.certs.issue import Issuer, intermediate_certificate, leaf_certificate, root_certificate
from maestro_cli.certs.keys import KEY_TYPES, KeyType, key_to_pem

NOW = datetime.now(UTC)  # verifiers look at the clock
SHAPES = ("direct", "intermediate", "client", "wildcard", "ip", "empty-subject", "constrained")
HOSTS = {"client": ("worker-7.example.test",), "wildcard": ("*.example.test",), "ip": ("127.0.0.1", "::1")}
ASKED = {"client": "worker-7.example.test", "wildcard": "api.example.test", "ip": "127.0.0.1"}


@dataclass(frozen=True)
class Case:
    """One chain in files; `asked` is what a client connects to, `wrong` a host it is not for."""

    folder: Path
    key_type: KeyType
    shape: str
    intermediates: tuple[x509.Certificate, ...]

    @property
    def purpose(self) -> str:
        return "client" if self.shape == "client" else "server"

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def other_ca(self) -> Path:
        return self.folder / "other.pem"

    @property
    def fullchain(self) -> Path:
        return self.folder / "fullchain.pem"

    @property
    def leaf(self) -> Path:
        return self.folder / "cert.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"

    @property
    def asked(self) -> str:
        return ASKED.get(self.shape, "api.example.test")

    @property
    def wrong(self) -> str:
        return "127.0.0.2" if self.shape == "ip" else "wrong.example.org"


EVERY_CASE = [f"{kind}/{shape}" for kind in KEY_TYPES for shape in SHAPES]


@pytest.fixture(scope="session")
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    kind, _, shape = request.param.partition("/")
    hosts = parse_hosts(HOSTS.get(shape, ("api.example.test", "127.0.0.1")))
    constraints = parse_constraints(["example.test"]) if shape == "constrained" else None
    root = root_certificate(key(kind, "ca"), now=NOW, constraints=constraints)
    issuer = Issuer(root, key(kind, "ca"))
    if shape in {"intermediate", "constrained"}:
        public_key = key(kind, "intermediate").public_key()
        middle = intermediate_certificate(public_key, issuer, now=NOW, constraints=constraints)
        issuer = Issuer(middle, key(kind, "intermediate"), (middle,))
    leaf = leaf_certificate(
        key(kind).public_key(),
        issuer,
        hosts,
        now=NOW,
        days=825 if shape == "wildcard" else 397,
        purpose="client" if shape == "client" else "server",
        subject=x509.Name([]) if shape == "empty-subject" else None,
    )
    folder = tmp_path_factory.mktemp("chain")
    for name, data in {
        "ca.pem": pem(root),
        "other.pem": pem(root_certificate(key("ec-p256", "other ca"), now=NOW)),
        "fullchain.pem": pem(leaf, *issuer.chain),
        "cert.pem": pem(leaf),
        "intermediate.pem": pem(*issuer.chain),
        "key.pem": key_to_pem(key(kind)),
    }.items():
        (folder / name).write_bytes(data)
    return Case(folder, kind, shape, issuer.chain)


def run(*command: str | Path, timeout: float = 60, **options: Any) -> subprocess.CompletedProcess[str]:
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, text=True, input="", timeout=timeout, check=False, **options)


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


# Each verdict is empty when the verifier accepts, and says why where it refuses.


def openssl_verdict(case: Case, ca: Path, host: str) -> str:
    flag = "-verify_ip" if case.shape == "ip" else "-verify_hostname"
    untrusted: list[str | Path] = ["-untrusted", case.folder / "intermediate.pem"] if case.intermediates else []
    result = run(
        "openssl", "verify", "-x509_strict", "-purpose", f"ssl{case.purpose}", "-CAfile", ca, "-no-CApath", "-no-CAstore",
        *untrusted, flag, host, case.leaf,
    )  # fmt: skip
    return "" if result.returncode == 0 else result.stderr


def python_verdict(case: Case, ca: Path, host: str) -> str:
    """A handshake in memory with VERIFY_X509_STRICT on the verifying side, as Python 3.13's default context has it."""
    serves = case.purpose == "client"
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if serves else ssl.PROTOCOL_TLS_CLIENT)
    plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if serves else ssl.PROTOCOL_TLS_SERVER)
    strict.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    strict.load_verify_locations(ca)
    plain.load_cert_chain(case.fullchain, case.key)
    if serves:
        strict.verify_mode = ssl.CERT_REQUIRED
        strict.load_cert_chain(case.fullchain, case.key)
        plain.check_hostname = False
        plain.verify_mode = ssl.CERT_NONE
    to_strict, to_plain = ssl.MemoryBIO(), ssl.MemoryBIO()
    verifying = strict.wrap_bio(to_strict, to_plain, server_side=serves, server_hostname=None if serves else host)
    proving = plain.wrap_bio(to_plain, to_strict, server_side=not serves)
    try:
        for _ in range(6):
            for side in (verifying, proving):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
        verifying.write(b"x")
    except ssl.SSLError as error:
        return str(error)
    return "" if verifying.getpeercert(binary_form=True) else "no certificate"


def pyca_verdict(case: Case, ca: Path, host: str) -> str:
    store = verification.Store([x509.load_pem_x509_certificate(ca.read_bytes())])
    builder = verification.PolicyBuilder().store(store).time(NOW)
    leaf = x509.load_pem_x509_certificate(case.leaf.read_bytes())
    try:
        if case.purpose == "client":
            verified = builder.build_client_verifier().verify(leaf, list(case.intermediates))
            return "" if any(name.value == host for name in verified.subjects or []) else "another name"
        subject = x509.IPAddress(ipaddress.ip_address(host)) if case.shape == "ip" else x509.DNSName(host)
        builder.build_server_verifier(subject).verify(leaf, list(case.intermediates))
    except verification.VerificationError as error:
        return str(error)
    return ""


def gnutls_verdict(case: Case, ca: Path, host: str) -> str:
    need("certtool")
    purpose = "1.3.6.1.5.5.7.3.1" if case.purpose == "server" else "1.3.6.1.5.5.7.3.2"
    result = run(
        "certtool", "--verify", "--load-ca-certificate", ca, "--verify-hostname", host, f"--verify-purpose={purpose}",
        "--infile", case.fullchain,
    )  # fmt: skip
    return "" if result.returncode == 0 else result.stdout + result.stderr


def nss_verdict(case: Case, ca: Path, host: str) -> str:
    """NSS's own tool knows no host names: `host` is not looked at."""
    need("certutil")
    assert host
    database = case.folder / f"nss-{ca.stem}"
    if not database.exists():
        database.mkdir()
        assert run("certutil", "-N", "--empty-password", "-d", database).returncode == 0
        assert run("certutil", "-A", "-n", "ca", "-t", "CT,,", "-a", "-i", ca, "-d", database).returncode == 0
        if case.intermediates:
            middle = case.folder / "intermediate.pem"
            assert run("certutil", "-A", "-n", "middle", "-t", ",,", "-a", "-i", middle, "-d", database).returncode == 0
        assert run("certutil", "-A", "-n", "leaf", "-t", ",,", "-a", "-i", case.leaf, "-d", database).returncode == 0
    usage = "V" if case.purpose == "server" else "C"
    result = run("certutil", "-V", "-n", "leaf", "-u", usage, "-e", "-l", "-d", database)
    return "" if result.returncode == 0 else result.stdout + result.stderr


def curl_verdict(case: Case, ca: Path, host: str) -> str:
    need("curl")
    with tls_server(case.fullchain, case.key) as port:
        result = run(
            "curl", "-sS", "--noproxy", "*", "--cacert", ca, "--capath", "/nonexistent", "--connect-to",
            f"{host}:{port}:127.0.0.1:{port}", f"https://{host}:{port}/",
        )  # fmt: skip
    return "" if result.stdout == "fine" else result.stderr or "?"


NODE = """
const [ca, host, port] = process.argv.slice(2);
const tls = require('tls'), fs = require('fs'), net = require('net');
const options = {host: '127.0.0.1', port: +port, ca: fs.readFileSync(ca)};
if (net.isIP(host)) options.checkServerIdentity = (_, cert) => tls.checkServerIdentity(host, cert);
else options.servername = host;
const socket = tls.connect(options, () => process.exit(socket.authorized ? 0 : 1));
socket.on('error', error => { console.log(error.message); process.exit(1); });
"""


def node_verdict(case: Case, ca: Path, host: str) -> str:
    need("node")
    script = case.folder / "verify.js"
    script.write_text(NODE)
    with tls_server(case.fullchain, case.key) as port:
        result = run("node", script, ca, host, str(port))
    return "" if result.returncode == 0 else result.stdout or "?"


def gnutls_cli_verdict(case: Case, ca: Path, host: str) -> str:
    need("gnutls-cli")
    with tls_server(case.fullchain, case.key) as port:
        result = run("gnutls-cli", "--x509cafile", ca, "-p", str(port), "--verify-hostname", host, "127.0.0.1")
    return "" if "Handshake was completed" in result.stdout else result.stdout


def chromium_verdict(case: Case, ca: Path, host: str) -> str:
    """A page loads in a headless browser whose only additional trust is `ca` (on Linux its store is NSS's of the user)."""
    program = need("chromium")
    need("certutil")
    home = case.folder / f"home-{ca.stem}"
    database = home / ".pki" / "nssdb"
    if not database.exists():
        database.mkdir(parents=True)
        assert run("certutil", "-N", "--empty-password", "-d", f"sql:{database}").returncode == 0
        assert run("certutil", "-A", "-n", "ca", "-t", "C,,", "-a", "-i", ca, "-d", f"sql:{database}").returncode == 0
    with tls_server(case.fullchain, case.key) as port:
        result = run(
            program, "--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server", "--dump-dom", f"--user-data-dir={home}",
            "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * 127.0.0.1",
            f"https://{host}:{port}/", env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    return "" if "fine" in result.stdout else result.stderr or "?"


EVERYWHERE = (openssl_verdict, python_verdict, pyca_verdict, gnutls_verdict)
SLOWER = (nss_verdict, curl_verdict, node_verdict, gnutls_cli_verdict, chromium_verdict)
SERVERS_ONLY = {curl_verdict, node_verdict, gnutls_cli_verdict, chromium_verdict}
NO_ED25519 = {pyca_verdict, nss_verdict, chromium_verdict}
"""They refuse every Ed25519 certificate; maestro says so when it makes one."""
OVERZEALOUS = "pkix.invalid_domain_name_syntax"
"""pkilint counts a wildcard as a mistake; RFC 9525 and every client want it."""


def combinations() -> Iterator[Any]:
    for kind in KEY_TYPES:
        for shape in SHAPES:
            for verdict in (*EVERYWHERE, *SLOWER):
                is_plain = kind == "ec-p256" or shape == "direct"
                if (shape == "client" and verdict in SERVERS_ONLY) or (kind == "ed25519" and verdict in NO_ED25519):
                    continue
                if verdict in EVERYWHERE or is_plain:
                    name = verdict.__name__.removesuffix("_verdict")
                    yield pytest.param(f"{kind}/{shape}", verdict, id=f"{kind}/{shape}/{name}")


@pytest.mark.parametrize(("case", "verdict"), list(combinations()), indirect=["case"])
def test_the_chain_holds_and_only_for_its_ca_and_host(case: Case, verdict: Callable[[Case, Path, str], str]) -> None:
    assert verdict(case, case.ca, case.asked) == ""
    assert verdict(case, case.other_ca, case.asked) != ""
    if case.purpose == "server" and verdict is not nss_verdict:
        assert verdict(case, case.ca, case.wrong) != ""


class Questions:
    """A verifier that is started once and asked line by line: starting it takes longer than all the verifying."""

    def __init__(self, *command: str | Path) -> None:
        words = [str(part) for part in command]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words: object) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def stop(self) -> None:
        self.process.communicate(timeout=10)


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
      byte[] pem = Files.readAllBytes(Path.of(a[1]));
      X509Certificate[] chain = f.generateCertificates(new ByteArrayInputStream(pem)).toArray(new X509Certificate[0]);
      if (a[3].equals("client")) {
        ((X509TrustManager) t.getTrustManagers()[0]).checkClientTrusted(chain, chain[0].getPublicKey().getAlgorithm()); return "";
      }
      SSLContext s = SSLContext.getInstance("TLS"); s.init(null, t.getTrustManagers(), null);
      int port = Integer.parseInt(a[4]);
      try (Socket raw = new Socket("127.0.0.1", port); SSLSocket k = (SSLSocket) s.getSocketFactory().createSocket(raw, a[2], port, true)) {
        SSLParameters p = k.getSSLParameters(); p.setEndpointIdentificationAlgorithm("HTTPS"); k.setSSLParameters(p);
        k.startHandshake(); return "";
      }
    } catch (Exception e) { return e.toString().replace('\\n', ' '); }
  }
}
"""
GO = """
package main
import ("bufio"; "crypto/x509"; "encoding/pem"; "fmt"; "os"; "strings")
func one(a []string) string {
  ca, _ := os.ReadFile(a[0]); rest, _ := os.ReadFile(a[1])
  roots, middle := x509.NewCertPool(), x509.NewCertPool()
  roots.AppendCertsFromPEM(ca)
  var leaf *x509.Certificate
  for { var block *pem.Block; block, rest = pem.Decode(rest); if block == nil { break }
    certificate, err := x509.ParseCertificate(block.Bytes); if err != nil { return err.Error() }
    if leaf == nil { leaf = certificate } else { middle.AddCert(certificate) } }
  usage := x509.ExtKeyUsageServerAuth
  if a[3] == "client" { usage = x509.ExtKeyUsageClientAuth }
  _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, DNSName: a[2], KeyUsages: []x509.ExtKeyUsage{usage}})
  if err != nil { return strings.ReplaceAll(err.Error(), "\\n", " ") }
  return ""
}
func main() { in := bufio.NewScanner(os.Stdin); for in.Scan() { fmt.Println(one(strings.Split(in.Text(), " "))) } }
"""


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Questions]:
    need("javac")
    folder = tmp_path_factory.mktemp("java")
    (folder / "Verify.java").write_text(JAVA)
    compiled = run("javac", "-d", folder, folder / "Verify.java", timeout=120)
    assert compiled.returncode == 0, compiled.stderr
    machine = Questions("java", "-cp", folder, "Verify")
    yield machine
    machine.stop()


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Questions]:
    need("go")
    folder = tmp_path_factory.mktemp("go")
    (folder / "verify.go").write_text(GO)
    environment = {
        "PATH": "/usr/bin:/bin:/usr/local/go/bin",
        "HOME": str(folder),
        "GOFLAGS": "-mod=mod",
        "GO111MODULE": "off",
    }
    compiled = run("go", "build", "-o", folder / "verify", folder / "verify.go", timeout=120, env=environment)
    assert compiled.returncode == 0, compiled.stderr
    program = Questions(folder / "verify")
    yield program
    program.stop()


@pytest.mark.parametrize("case", EVERY_CASE, indirect=True)
def test_java(case: Case, java: Questions) -> None:
    with tls_server(case.fullchain, case.key) as port:
        assert java.ask(case.ca, case.fullchain, case.asked, case.purpose, port) == ""
        assert java.ask(case.other_ca, case.fullchain, case.asked, case.purpose, port) != ""
        if case.purpose == "server":
            assert java.ask(case.ca, case.fullchain, case.wrong, case.purpose, port) != ""


@pytest.mark.parametrize("case", EVERY_CASE, indirect=True)
def test_go(case: Case, go: Questions) -> None:
    assert go.ask(case.ca, case.fullchain, case.asked, case.purpose) == ""
    assert go.ask(case.other_ca, case.fullchain, case.asked, case.purpose) != ""
    assert go.ask(case.ca, case.fullchain, case.wrong, case.purpose) != ""


@pytest.fixture(scope="session")
def pkilint() -> Callable[[Path], list[str]]:
    pytest.importorskip("pkilint")
    from pkilint import loader
    from pkilint.pkix import certificate, extension, name

    validator = certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )

    def lint(path: Path) -> list[str]:
        document = loader.load_certificate(path.read_text(), path.name)
        return [
            described.finding.code
            for result in validator.validate(document.root)
            for described in result.finding_descriptions
            if described.finding.severity.name in {"NOTICE", "WARNING", "ERROR", "FATAL"}
        ]

    return lint


@pytest.mark.parametrize("case", EVERY_CASE, indirect=True)
def test_pkilint_finds_nothing(case: Case, pkilint: Callable[[Path], list[str]]) -> None:
    files = [case.ca, case.leaf, *([case.folder / "intermediate.pem"] if case.intermediates else [])]
    for path in files:
        codes = pkilint(path)
        assert [code for code in codes if not (case.shape == "wildcard" and code == OVERZEALOUS)] == [], path.name
    assert case.shape != "wildcard" or pkilint(case.leaf) == [OVERZEALOUS]  # so the linter does look
