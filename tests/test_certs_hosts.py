"""What a person types becomes one name of a certificate, or is refused with the reason."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from maestro_cli.certs.constraints import check_names, parse_constraints
from maestro_cli.certs.hosts import Host, file_stem, hosts_of, matches, parse_host, parse_hosts
from maestro_cli.errors import MaestroError, UsageError

ACCEPTED = [
    ("localhost", "dns", "localhost"),
    ("API.Example.TEST.", "dns", "api.example.test"),
    ("*.example.test", "dns", "*.example.test"),
    ("*.bücher.example", "dns", "*.xn--bcher-kva.example"),
    ("straße.example", "dns", "xn--strae-oqa.example"),
    ("例え。テスト", "dns", "xn--r8jz45g.xn--zckzah"),
    ("xn--bcher-kva.example", "dns", "xn--bcher-kva.example"),
    ("127.0.0.1", "ip", "127.0.0.1"),
    ("::1", "ip", "::1"),
    ("[2001:DB8:0:0::1]", "ip", "2001:db8::1"),
    ("spiffe://cluster.local/ns/x", "uri", "spiffe://cluster.local/ns/x"),
    ("https://bücher.example/ä?ö=1", "uri", "https://xn--bcher-kva.example/%C3%A4?%C3%B6=1"),
    ("urn:uuid:00000000-0000-0000-0000-000000000000", "uri", "urn:uuid:00000000-0000-0000-0000-000000000000"),
    ("me@example.test", "email", "me@example.test"),
    ("mailto:me@example.test", "email", "me@example.test"),
    ("me@bücher.example", "email", "me@xn--bcher-kva.example"),
    ("DNS:worker", "dns", "worker"),
    ("IP:192.0.2.1", "ip", "192.0.2.1"),
    ("URI:spiffe://a/b", "uri", "spiffe://a/b"),
]
REFUSED = [
    ("", "empty"),
    ("two words", "space"),
    ("a\x00b", "control character"),
    ("a\nb", "control character"),
    ("*", "needs a domain"),
    ("*.test", "directly under a top-level name"),
    ("a.*.example", "whole first label"),
    ("f*.example.test", "whole first label"),
    ("my_service", "underscore"),
    ("-a.example", "letters, digits and inner hyphens"),
    ("a..b", "empty label"),
    (".example.test", "empty label"),
    ("a" * 64 + ".example", "at most 63"),
    (".".join(["a" * 60] * 5), "at most 253"),
    ("10.0.0.0/8", "network"),
    ("127.1", "number"),
    ("256.1.1.1", "number"),
    ("localhost:8443", "port"),
    ("[::1]:8443", "port"),
    ("fe80::1%eth0", "zone"),
    ("localhost/health", "slash"),
    ("ab--cd.example", "internationalised"),
    ("xn--zz--zz.example", "internationalised"),
    ("☃.example", "internationalised"),
    ("IP:example.test", "no IP address"),
    ("né@example.test", "ASCII"),
    ("a@*.example.test", "wildcard"),
    ("https://", "something behind it"),
    ("spiffe:///path", "no host"),
]


@pytest.mark.parametrize(("text", "kind", "value"), ACCEPTED)
def test_accepted(text: str, kind: str, value: str) -> None:
    host = parse_host(text)
    assert (host.kind, host.value) == (kind, value)
    assert hosts_of([host.general_name()]) == (host,)


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        parse_host(text)


@pytest.mark.parametrize(
    "text", ["https://me:hunter2hunter@example.test/", "https://me:hunter2hunter@[/", "me:hunter2hunter@example.test"]
)
def test_a_password_typed_by_mistake_is_not_repeated_as_a_name_of_a_certificate(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_host(text)
    if "://" in text:
        assert "hunter2" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_name_or_a_clean_refusal(text: str) -> None:
    try:
        host = parse_host(text)
    except MaestroError:
        return
    assert host.value.isascii()
    host.general_name()  # and X.509 takes it
    assert parse_host(f"{host.kind}:{host.value}") == host


def test_repeated_names_count_once_and_none_is_an_error() -> None:
    assert [host.value for host in parse_hosts(["b", "a", "B"])] == ["b", "a"]
    with pytest.raises(UsageError, match="at least one name"):
        parse_hosts([])


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("example.test", "EXAMPLE.test", True),
        ("*.example.test", "api.example.test", True),
        ("*.example.test", "a.api.example.test", False),
        ("*.example.test", "example.test", False),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "localhost", False),
    ],
)
def test_matching_as_clients_do(pattern: str, host: str, expected: bool) -> None:
    assert matches(parse_host(pattern), parse_host(host)) is expected


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("*.example.test", "_wildcard.example.test"),
        ("2001:db8::1", "2001-db8-1"),
        ("spiffe://a/b c".replace(" ", ""), "spiffe-a-bc"),
    ],
)
def test_file_names_are_plain(text: str, stem: str) -> None:
    assert file_stem(parse_host(text)) == stem


def test_constraints_cover_a_domain_all_below_it_and_the_loopback() -> None:
    constraints = parse_constraints([".example.test", "10.0.0.0/8"])
    inside = ["example.test", "a.b.example.test", "*.example.test", "10.1.2.3", "127.0.0.1", "::1", "spiffe://x/y"]
    outside = ["example.test.org", "notexample.test", "localhost", "192.0.2.1", "2001:db8::1"]
    assert [text for text in inside if constraints.refuses(parse_host(text))] == []
    assert [text for text in outside if not constraints.refuses(parse_host(text))] == []
    assert not parse_constraints([])
    assert x509.DNSName("example.test") in constraints.permitted()
    with pytest.raises(UsageError, match="no network"):
        parse_constraints(["10.0.0.1/8"])


def test_names_outside_a_cas_constraints_are_refused() -> None:
    from certs_support import NOW, key

    from maestro_cli.certs.issue import root_certificate

    root = root_certificate(key("ec-p256", "ca"), now=NOW, constraints=parse_constraints(["example.test"]))
    check_names((Host("dns", "a.example.test"),), (root,))
    with pytest.raises(MaestroError, match=r"other\.test: outside the CA's name constraints"):
        check_names((Host("dns", "a.example.test"), Host("dns", "other.test")), (root,))
