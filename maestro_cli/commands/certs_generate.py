"""`maestro certs generate`: from options to an order, and what is said afterwards."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_cli.commands.base import Invocation
from maestro_cli.commands.certs_input import ask_secret, asker, configured, folder_of, passphrase_of, read_secret
from maestro_cli.errors import OutOfReach, UsageError
from maestro_cli.redaction import Secret

if TYPE_CHECKING:
    from maestro_cli.certs.export import KubernetesSecret
    from maestro_cli.certs.plan import Order, Outcome


@dataclass(frozen=True)
class Request:
    """The options of one call."""

    hosts: tuple[str, ...]
    directory: Path | None
    clients: tuple[str, ...]
    key_type: str | None
    days: int | None
    intermediate: bool
    constraints: tuple[str, ...]
    empty_subject: bool
    csr: bool
    pkcs12: bool
    password_file: Path | None
    kubernetes: bool
    kubernetes_name: str | None
    kubernetes_namespace: str | None
    output: str | None
    passphrase_file: Path | None
    new_ca: bool
    force: bool
    dry_run: bool
    as_json: bool


def generate(invocation: Invocation, request: Request) -> None:
    """Make a CA and certificates."""
    from maestro_cli.certs import store
    from maestro_cli.certs.generate import generate as make
    from maestro_cli.certs.plan import plan
    from maestro_cli.commands.certs_view import outcome_json, outcome_text, plan_text

    directory = folder_of(invocation, request.directory)
    order = _order(invocation, request)
    if request.output is not None and (directory / store.KEY).exists() and order.hosts is None and not order.clients:
        # only the manifest of a pair that is there is asked for
        _write_manifest(invocation, directory, _kubernetes(invocation, request), request.output)
        return
    if request.dry_run:
        todo = plan(directory, order)
        if request.as_json:
            invocation.out_json({"directory": str(directory), "would_write": list(todo.files)})
        else:
            invocation.out(plan_text(directory, todo))
        return
    outcome = make(directory, order, now=invocation.now(), ask=asker(invocation))
    if request.output is not None:
        _write_manifest(invocation, directory, _kubernetes(invocation, request), request.output)
    to_stdout = request.output == "-"  # then the manifest is all that goes there
    if request.as_json and not to_stdout:
        invocation.out_json(outcome_json(outcome))
    elif not to_stdout:
        invocation.out(outcome_text(outcome))
    _say(invocation, outcome)


def sign(invocation: Invocation, request: Request, path: Path) -> None:
    """Sign another machine's request."""
    from maestro_cli.certs.hosts import parse_hosts
    from maestro_cli.certs.inspection import read_file
    from maestro_cli.certs.sign import read_request, sign_request
    from maestro_cli.commands.certs_view import date, names

    directory = folder_of(invocation, request.directory)
    asked = read_request(read_file(path), str(path))
    if request.dry_run:
        raise UsageError(
            "--dry-run has nothing to show for --sign-csr.", hint=f"See what it asks for: maestro certs inspect {path}"
        )
    signed = sign_request(
        directory,
        asked,
        now=invocation.now(),
        hosts=parse_hosts(request.hosts) if request.hosts else (),
        days=_days(invocation, request),
        passphrase=passphrase_of(invocation, request.passphrase_file),
        ask=asker(invocation),
        force=request.force,
    )
    target = directory / signed.certificate
    if request.as_json:
        invocation.out_json(
            {
                "certificate": str(target),
                "names": [str(host) for host in signed.hosts],
                "not_after": signed.not_after.isoformat(),
                "backups": signed.backups,
                "warnings": list(signed.warnings),
            }
        )
    else:
        invocation.out(f"{target}  {names(signed.hosts)}; until {date(signed.not_after)}")
    for warning in signed.warnings:
        invocation.say(f"note: {warning}")
    invocation.say(f"Give it back to its sender. Look at it: maestro certs inspect {target}")


def many(invocation: Invocation, request: Request, source: str) -> None:
    """Make a leaf for each line of a file."""
    from maestro_cli.certs.bulk import bulk, parse_bulk
    from maestro_cli.certs.keys import key_type

    if request.hosts or request.clients or request.pkcs12 or request.kubernetes or request.csr:
        raise UsageError(
            "--bulk makes the leaves of its file and nothing else.", hint="Leave the other names and forms out."
        )
    directory = folder_of(invocation, request.directory)
    wanted = parse_bulk(_lines(source))
    if request.dry_run:
        raise UsageError(
            f"--bulk would make {len(wanted)} leaves in {directory}.", hint="Leave --dry-run out to make them."
        )
    outcome = bulk(
        directory,
        wanted,
        now=invocation.now(),
        key_type=key_type(request.key_type or configured(invocation).key_type),
        days=_days(invocation, request),
        passphrase=passphrase_of(invocation, request.passphrase_file),
        ask=asker(invocation),
        force=request.force,
    )
    if request.as_json:
        leaves = [{"certificate": files.certificate, "key": files.key} for files in outcome.leaves]
        invocation.out_json(
            {"directory": str(directory), "new_ca": outcome.new_ca, "leaves": leaves, "backups": outcome.backups}
        )
    else:
        invocation.out(
            f"{len(outcome.leaves)} certificates with their keys in {directory}, signed by {directory / 'ca.pem'}"
        )
    invocation.say(f"Next: maestro certs inspect --expiry {directory}")


def _order(invocation: Invocation, request: Request) -> Order:
    from maestro_cli.certs.constraints import parse_constraints
    from maestro_cli.certs.hosts import parse_host, parse_hosts
    from maestro_cli.certs.keys import key_type
    from maestro_cli.certs.plan import Order

    defaults = configured(invocation)
    if str(request.password_file) == "-" and str(request.passphrase_file) == "-":
        raise UsageError("Two secrets cannot both come from stdin.", hint="Put one of them into a file.")
    manifest = _kubernetes(invocation, request) if request.kubernetes else None
    return Order(
        hosts=parse_hosts(request.hosts) if request.hosts else None,
        default_hosts=tuple(defaults.hosts),
        clients=tuple(parse_host(name) for name in request.clients),
        key_type=key_type(request.key_type or defaults.key_type),
        days=_days(invocation, request),
        intermediate=request.intermediate,
        constraints=parse_constraints(request.constraints),
        empty_subject=request.empty_subject,
        request=request.csr,
        kubernetes=manifest if request.output is None else None,
        passphrase=passphrase_of(invocation, request.passphrase_file),
        pkcs12=_password(invocation, request) if request.pkcs12 else None,
        force=request.force,
        new_ca=request.new_ca,
    )


def _password(invocation: Invocation, request: Request) -> Secret:
    if request.password_file is not None:
        return read_secret(invocation, request.password_file, "the password of the .p12")
    if request.dry_run:
        return Secret("not asked for in a dry run")
    return ask_secret(invocation, "the password of the .p12", option="--pkcs12-password-file", twice=True)


def _days(invocation: Invocation, request: Request) -> int:
    return request.days if request.days is not None else configured(invocation).days


def _kubernetes(invocation: Invocation, request: Request) -> KubernetesSecret:
    from maestro_cli.certs.export import KubernetesSecret

    service = re.sub(r"[^a-z0-9-]+", "-", invocation.unresolved.settings.service.name.lower()).strip("-") or "service"
    return KubernetesSecret(request.kubernetes_name or f"{service}-tls", request.kubernetes_namespace)


def _write_manifest(invocation: Invocation, directory: Path, names: KubernetesSecret, output: str) -> None:
    from maestro_cli.certs import store
    from maestro_cli.certs.export import kubernetes_secret
    from maestro_cli.filesystem import write_private

    parts = [store.read(directory, name) for name in (store.KEY, store.FULLCHAIN, store.CA)]
    if any(part is None for part in parts):
        raise OutOfReach(f"{directory} holds no server pair.", hint="Make it: maestro certs generate")
    key, chain, ca = (part or b"" for part in parts)
    manifest = kubernetes_secret(names, key, chain, ca)
    if output == "-":
        invocation.out(manifest.decode())
    else:
        write_private(Path(output), manifest)
        invocation.say(f"Next: kubectl apply -f {output}")


def _lines(source: str) -> Sequence[str]:
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OutOfReach(
            f"{source} cannot be read ({reason}).", hint="One leaf a line, its names separated by spaces."
        ) from error
    return text.splitlines()


def _say(invocation: Invocation, outcome: Outcome) -> None:
    for warning in outcome.warnings:
        invocation.say(f"note: {warning}")
    if not outcome.written:
        invocation.say("Nothing was left to make.")
    option = "" if str(outcome.directory) == "certs" else f" --directory {outcome.directory}"
    if outcome.new_ca:
        invocation.say(f"Next: let this machine trust the new CA: maestro certs trust{option}")
    else:
        invocation.say(f"Next: maestro certs verify{option}")
