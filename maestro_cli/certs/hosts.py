"""What a certificate is for, read from what a person types: DNS names, wildcards, addresses, URIs, mail addresses.

Every name ends up as one subject alternative name (RFC 5280 §4.2.1.6). Internationalised names are converted (IDNA 2008
with UTS 46 mapping); what no verifier would accept is refused with the reason.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from maestro_cli.errors import UsageError
from maestro_cli.redaction import password_in_url

if TYPE_CHECKING:
    from cryptography import x509

Kind = Literal["dns", "ip", "uri", "email"]

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_BARE_SCHEMES = {"urn", "did", "tag", "sip", "sips"}
"""Schemes whose URIs have no `//`; others without it are more likely a typing error (`user:password@host`)."""
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_PREFIXES: dict[str, Kind] = {"dns": "dns", "ip": "ip", "ip address": "ip", "uri": "uri", "email": "email"}
_HINT = "Names look like api.example.test, *.example.test, 192.0.2.1, ::1, spiffe://example.test/x or me@example.test."


@dataclass(frozen=True, slots=True)
class Host:
    """One subject alternative name.

    Attributes:
        kind: Which sort of name.
        value: Its form in the certificate: lower case, ASCII, the canonical form of an address.
    """

    kind: Kind
    value: str

    def __str__(self) -> str:
        return self.value

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for a whole level of DNS names."""
        return self.kind == "dns" and self.value.startswith("*.")

    def general_name(self) -> x509.GeneralName:
        """As the X.509 type."""
        from cryptography import x509

        match self.kind:
            case "dns":
                return x509.DNSName(self.value)
            case "ip":
                return x509.IPAddress(ipaddress.ip_address(self.value))
            case "uri":
                return x509.UniformResourceIdentifier(self.value)
            case "email":
                return x509.RFC822Name(self.value)


def parse_host(text: str) -> Host:
    """Read one name.

    Args:
        text: As typed. A prefix as OpenSSL writes it (`DNS:`, `IP:`, `URI:`, `email:`) fixes the kind.

    Raises:
        UsageError: No certificate can or should hold it; says why.
    """
    name = text.strip()
    if not name:
        raise _nonsense(text, "it is empty")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in name) or " " in name:
        raise _nonsense(text, "it holds a space or a control character")
    prefix, colon, rest = name.partition(":")
    if colon and prefix.lower() in _PREFIXES and rest:
        return _READERS[_PREFIXES[prefix.lower()]](text, rest)
    address = _address(text, name)
    if address is not None:
        return address
    if "://" in name or prefix.lower() in _BARE_SCHEMES:
        return _uri(text, name)
    if prefix.lower() == "mailto":
        return _email(text, rest)
    if "@" in name:
        return _email(text, name)
    return _dns(text, name)


def parse_hosts(texts: Iterable[str]) -> tuple[Host, ...]:
    """Read several names; repeated ones count once, the order stays.

    Raises:
        UsageError: There is none, or one is refused.
    """
    hosts = tuple(dict.fromkeys(parse_host(text) for text in texts))
    if not hosts:
        raise UsageError("A certificate needs at least one name.", hint=_HINT)
    return hosts


def hosts_of(names: Iterable[x509.GeneralName]) -> tuple[Host, ...]:
    """The names of an existing certificate or request, without judging them; other kinds are left out."""
    from cryptography import x509

    kinds: dict[type[x509.GeneralName], Kind] = {
        x509.DNSName: "dns",
        x509.IPAddress: "ip",
        x509.UniformResourceIdentifier: "uri",
        x509.RFC822Name: "email",
    }
    return tuple(Host(kinds[type(name)], str(name.value)) for name in names if type(name) in kinds)


def matches(pattern: Host, host: Host) -> bool:
    """Whether a certificate's name covers the host that a client asked for (RFC 9525 §6.3)."""
    if pattern.kind != host.kind:
        return False
    if pattern.kind == "ip":
        return ipaddress.ip_address(pattern.value) == ipaddress.ip_address(host.value)
    if pattern.kind == "dns" and pattern.value.startswith("*."):
        first, _, rest = host.value.lower().partition(".")
        return bool(first) and first != "*" and rest == pattern.value[2:].lower()
    return pattern.value.lower() == host.value.lower() if pattern.kind == "dns" else pattern.value == host.value


def file_stem(host: Host) -> str:
    """A file name for a name: `*.example.test` becomes `_wildcard.example.test`."""
    stem = host.value.replace("*.", "_wildcard.", 1) if host.is_wildcard else host.value
    return re.sub(r"[^A-Za-z0-9.@_+-]+", "-", stem).strip("-.")[:120] or "certificate"


def to_ascii(text: str, domain: str) -> str:
    """A DNS name in its ASCII form, checked label by label.

    Raises:
        UsageError: It is not a host name.
    """
    name = domain.rstrip(".").lower() if domain.endswith(".") and not domain.endswith("..") else domain.lower()
    if not name.isascii():
        import idna

        try:
            name = idna.encode(domain.rstrip("."), uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise _nonsense(text, f"it is no internationalised name ({error})") from error
    if len(name) > 253:
        raise _nonsense(text, f"it has {len(name)} characters and a DNS name has at most 253")
    labels = name.split(".")
    for label in labels:
        _check_label(text, label)
    if labels[-1].isdigit():
        raise _nonsense(text, "it ends in a number like an address, but is none")
    return name


def _check_label(text: str, label: str) -> None:
    if not label:
        raise _nonsense(text, "it has an empty label (two dots, or a dot at its start)")
    if len(label) > 63:
        raise _nonsense(text, f"the label {label[:20]}… has {len(label)} characters and a label has at most 63")
    if "_" in label:
        raise _nonsense(text, f"the label {label!r} has an underscore, which host names do not have; use a hyphen")
    if "*" in label:
        raise _nonsense(text, "a wildcard is a whole first label, as in *.example.test")
    if not _LABEL.fullmatch(label):
        raise _nonsense(text, f"the label {label!r} has more than letters, digits and inner hyphens")
    if label[2:4] == "--":
        import idna

        try:
            idna.ulabel(label)
        except idna.IDNAError as error:
            raise _nonsense(text, f"the label {label!r} is no internationalised name ({error})") from error


def _address(text: str, name: str) -> Host | None:
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    if "%" in bare and ":" in bare and "://" not in bare:
        raise _nonsense(text, "a certificate's address has no zone (%…)")
    try:
        return Host("ip", str(ipaddress.ip_address(bare)))
    except ValueError:
        pass
    try:
        ipaddress.ip_network(bare, strict=False)
    except ValueError:
        pass
    else:
        raise _nonsense(text, "it is a network, and a certificate names single addresses")
    if re.fullmatch(r"(\[.*\]|[^:/@]+):\d+", name):
        raise _nonsense(
            text, f"it has a port; a certificate is for every port, so say {name.rpartition(':')[0].strip('[]')}"
        )
    return None


def _ip(text: str, name: str) -> Host:
    address = _address(text, name)
    if address is None:
        raise _nonsense(text, "it is no IP address")
    return address


def _dns(text: str, name: str) -> Host:
    if "/" in name:
        raise _nonsense(text, "it has a slash; name the host alone")
    if name == "*":
        raise _nonsense(text, "a wildcard needs a domain, as in *.example.test")
    if not name.startswith("*."):
        return Host("dns", to_ascii(text, name))
    domain = to_ascii(text, name[2:])
    if "." not in domain:
        raise _nonsense(text, f"verifiers refuse a wildcard directly under a top-level name; use *.something.{domain}")
    if len(domain) > 251:
        raise _nonsense(text, "with the wildcard it has more than 253 characters")
    return Host("dns", f"*.{domain}")


def _uri(text: str, name: str) -> Host:
    from urllib.parse import quote, urlsplit, urlunsplit

    if password_in_url(name) is not None:
        raise UsageError("A URI with a password cannot be a certificate's name: certificates are public.", hint=_HINT)
    try:
        parts = urlsplit(name)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _nonsense(text, f"it is no URI ({error})") from error
    if not parts.scheme or not (parts.netloc or parts.path):
        raise _nonsense(text, "a URI has a scheme and something behind it")
    if "://" in name and not host:
        raise _nonsense(text, "the URI names no host")
    netloc = parts.netloc
    if host and not netloc.isascii():
        netloc = to_ascii(text, host) + (f":{port}" if port is not None else "")
    kept = "/:@!$&'()*+,;=~-._%"
    path, query, fragment = (quote(part, safe=kept + "?") for part in (parts.path, parts.query, parts.fragment))
    return Host("uri", urlunsplit((parts.scheme, netloc, path, query, fragment)))


def _email(text: str, name: str) -> Host:
    local, _, domain = name.rpartition("@")
    if not local.isascii():
        raise _nonsense(text, "the part before the @ must be ASCII")
    if not _ATOM.fullmatch(local) or len(local) > 64:
        raise _nonsense(text, "the part before the @ is no mail name")
    if domain.startswith("*"):
        raise _nonsense(text, "a mail address has no wildcard")
    return Host("email", f"{local}@{to_ascii(text, domain)}")


_READERS = {"dns": _dns, "ip": _ip, "uri": _uri, "email": _email}


def _nonsense(text: str, reason: str) -> UsageError:
    shown = text if len(text) <= 80 else text[:77] + "…"
    return UsageError(f"{shown!r} cannot be a certificate's name: {reason}.", hint=_HINT)
