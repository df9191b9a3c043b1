"""Name constraints: a development CA that can sign for the project's names and for nothing else, should its key get out."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maestro_cli.certs.hosts import Host, to_ascii
from maestro_cli.errors import Refused, UsageError

if TYPE_CHECKING:
    from cryptography import x509

_OWN = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@dataclass(frozen=True, slots=True)
class Constraints:
    """The only names a CA may sign for; a kind of name without an entry is free (RFC 5280 §4.2.1.10).

    Attributes:
        domains: Each covers itself and all below.
        networks: Addresses.
    """

    domains: tuple[str, ...] = ()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.domains or self.networks)

    def permitted(self) -> list[x509.GeneralName]:
        """As the extension lists them."""
        from cryptography import x509

        return [*map(x509.DNSName, self.domains), *map(x509.IPAddress, self.networks)]

    def refuses(self, host: Host) -> bool:
        """Whether a name lies outside."""
        if host.kind == "dns" and self.domains:
            name = host.value.removeprefix("*.")
            return not any(name == domain or name.endswith(f".{domain}") for domain in self.domains)
        if host.kind == "ip" and self.networks:
            address = ipaddress.ip_address(host.value)
            return not any(address in network for network in self.networks)
        return False


def parse_constraints(texts: Sequence[str]) -> Constraints:
    """Read `--name-constraint` values: domains (`example.test` covers itself and all below) and networks (`10.0.0.0/8`).

    The loopback addresses always belong: without an entry for addresses every one of them would be free.

    Raises:
        UsageError: One is neither.
    """
    domains: list[str] = []
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for text in texts:
        name = text.strip().removeprefix("*").removeprefix(".")
        try:
            networks.append(ipaddress.ip_network(name))
        except ValueError as error:
            if "/" in name:
                raise UsageError(
                    f"--name-constraint {text!r} is no network ({error}).", hint="For example: 10.0.0.0/8"
                ) from None
            domains.append(to_ascii(text, name))
    if not texts:
        return Constraints()
    return Constraints(tuple(dict.fromkeys(domains)), tuple(dict.fromkeys((*networks, *_OWN))))


def constraints_of(certificate: x509.Certificate) -> Constraints | None:
    """The domains and networks a CA is bound to; None where it has no such extension."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
    except x509.ExtensionNotFound:
        return None
    domains = [name.value for name in names or [] if isinstance(name, x509.DNSName)]
    networks = [name.value for name in names or [] if isinstance(name, x509.IPAddress)]
    return Constraints(
        tuple(domains),
        tuple(network for network in networks if isinstance(network, (ipaddress.IPv4Network, ipaddress.IPv6Network))),
    )


def check_names(hosts: Sequence[Host], authorities: Sequence[x509.Certificate]) -> None:
    """Refuse names that a CA of the chain is not allowed to sign for.

    Raises:
        Refused: A name lies outside; says which, and how to let it in.
    """
    for authority in authorities:
        bound = constraints_of(authority)
        outside = [host for host in hosts if bound is not None and bound.refuses(host)]
        if outside:
            options = " ".join(f"--name-constraint {host.value.removeprefix('*.')}" for host in outside)
            raise Refused(
                f"{', '.join(map(str, outside))}: outside the CA's name constraints; no client would accept it.",
                hint=f"Leave it out, or make a CA that may: maestro certs generate --new-ca --force {options} …",
            )
