"""Resources that are asked over the network, and commands: `http`, `addr`, `dns`, `command`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

from maestro_cli.goss.entry import MISSING, DeclaredRow, Entry

DEFAULT_HTTP_S = 5.0
DEFAULT_COMMAND_S = 10.0
DEFAULT_ADDR_S = 0.5
RECORD_TYPES = ("A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT")
SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token"}


def http(entry: Entry) -> Iterator[DeclaredRow]:
    """`http:`; credentials become variables, so that they stand in no configuration."""
    url = entry.named("url")
    if not url.startswith(("http://", "https://")):
        entry.refuse("not an http:// or https:// address")
        return
    subject: dict[str, Any] = {"url": url}
    for name, attribute in (("method", "method"), ("request_body", "request-body"), ("ca_file", "ca-file")):
        value = entry.text(attribute)
        if value is not MISSING:
            subject[name] = value
    status = entry.matcher("status")
    if status is not MISSING:
        subject["status"] = status
    body = entry.matcher("body")
    if body not in (MISSING, []):
        subject["body"] = body
    subject.update(_headers(entry))
    sent = _sent(entry)
    if sent:
        subject["request_headers"] = sent
    username = entry.text("username")
    if username is not MISSING:
        subject["username"] = username
    if entry.text("password") is not MISSING:
        subject["password"] = entry.variable("password", variable_name(entry.name, "PASSWORD"))
    if not entry.flag("no-follow-redirects", default=False):
        subject["follow_redirects"] = True
    if entry.flag("allow-insecure", default=False):
        subject["verify"] = False
    subject["timeout_s"] = entry.seconds(DEFAULT_HTTP_S)
    for attribute in ("proxy", "cert-file", "key-file"):
        if entry.attributes.get(attribute) == "":
            entry.take(attribute)
    yield DeclaredRow(f"http {url}", "http", subject)


def _headers(entry: Entry) -> dict[str, Any]:
    """The patterns over `Name: value` lines, as far as they name a header."""
    attribute = "headers" if "headers" in entry.attributes else "header"
    rows = entry.take(attribute)
    headers: dict[str, list[str]] = {}
    if rows in (MISSING, None, []):
        return {}
    for row in rows if isinstance(rows, list) else [rows]:
        name, colon, value = row.partition(":") if isinstance(row, str) else ("", "", "")
        if colon and re.fullmatch(r"[A-Za-z0-9-]+", name.strip()):
            headers.setdefault(name.strip(), []).append(value.strip())
        else:
            entry.leave_out(attribute, f"{_short(row)} is not `Name: value`")
    return {"headers": headers} if headers else {}


def _sent(entry: Entry) -> dict[str, str]:
    rows = entry.take("request-headers")
    sent: dict[str, str] = {}
    for row in rows if isinstance(rows, list) else []:
        name, colon, value = str(row).partition(":")
        if not colon:
            entry.leave_out("request-headers", "a line is not `Name: value`")
        elif name.strip().lower() in SECRET_HEADERS:
            variable = variable_name(entry.name, name.strip().replace("-", "_"))
            sent[name.strip()] = entry.variable(f"request header {name.strip()}", variable)
        else:
            sent[name.strip()] = value.strip()
    return sent


def variable_name(subject: str, attribute: str) -> str:
    """The name of a variable for a credential: `GOSS_EXAMPLE_TEST_PASSWORD`."""
    host = re.sub(r"^https?://", "", subject)
    words = re.sub(r"[^A-Za-z0-9]+", "_", f"GOSS_{host}_{attribute}").upper()
    return words.strip("_")[:100]


def addr(entry: Entry) -> Iterator[DeclaredRow]:
    """A `addr:` resource."""
    address = entry.named("address")
    protocol, separator, target = address.rpartition("://")
    if (protocol or "tcp") != "tcp":
        entry.refuse(f"{protocol}: only TCP connections are tried")
        return
    subject: dict[str, Any] = {"address": target if separator else address}
    if not entry.flag("reachable"):
        subject["reachable"] = False
    subject["timeout_s"] = entry.seconds(DEFAULT_ADDR_S)
    yield DeclaredRow(f"addr {subject['address']}", "tcp", subject)


def dns(entry: Entry) -> Iterator[DeclaredRow]:
    """`dns:`; without a record type a server is asked for the types that the expected addresses have."""
    whole = entry.named("resolve")
    kind, colon, name = whole.partition(":")
    if not colon or kind.upper() not in RECORD_TYPES:
        kind, name = "", whole
    kind = kind.upper()
    subject: dict[str, Any] = {"name": _reverse(name) if kind == "PTR" else name}
    if not entry.flag("resolvable", "resolveable"):
        subject["resolvable"] = False
    server = entry.text("server")
    if server is not MISSING:
        subject["server"] = server
    seconds = entry.take("timeout")
    if isinstance(seconds, int) and seconds > 0:
        subject["timeout_s"] = seconds / 1000
    answers = entry.matcher("addrs")
    if not isinstance(answers, list):
        rest = {} if answers is MISSING else {"answers": answers}
        yield DeclaredRow(f"dns {whole}", "dns", {**subject, **({"type": kind} if kind else {}), **rest})
        return
    for record, rows in _by_type(kind, answers, asked=server is not MISSING):
        typed = {"type": record} if record else {}
        wanted = {"answers": {"contain-elements": rows}} if rows else {}
        yield DeclaredRow(f"dns {whole} {record if not kind else ''}".strip(), "dns", {**subject, **typed, **wanted})


def _by_type(kind: str, answers: list[Any], *, asked: bool) -> Iterator[tuple[str, list[Any]]]:
    if kind or not asked or not answers:
        yield kind, [_answer(kind, row) for row in answers]
        return
    for record, colon in (("A", False), ("AAAA", True)):
        rows = [row for row in answers if (":" in str(row)) is colon]
        if rows:
            yield record, rows


def _answer(kind: str, answer: Any) -> Any:
    """An answer as maestro writes it: no final dot, a CAA value in quotes."""
    if not isinstance(answer, str):
        return answer
    if kind == "CAA":
        flag, tag, value = (*answer.split(" ", 2), "", "")[:3]
        return f'{flag} {tag} "{value}"' if value and not value.startswith('"') else answer
    return answer if kind == "TXT" else answer.removesuffix(".")


def _reverse(name: str) -> str:
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name


def command(entry: Entry) -> Iterator[DeclaredRow]:
    """`command:`, which goss hands to the shell."""
    run = entry.take("exec") if "exec" in entry.attributes else entry.name
    if isinstance(run, bool):  # `exec: true` names the program `true`
        run = str(run).lower()
    subject: dict[str, Any] = {"run": run}
    if not isinstance(run, list):
        subject |= {"run": str(run), "shell": True}
    for name, attribute in (("exit_status", "exit-status"), ("stdout", "stdout"), ("stderr", "stderr")):
        value = entry.matcher(attribute)
        if value not in (MISSING, []):
            subject[name] = value
    subject["timeout_s"] = entry.seconds(DEFAULT_COMMAND_S)
    yield DeclaredRow(f"command {entry.name}", "command", subject, title=_short(entry.name))


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:59] + "…"
