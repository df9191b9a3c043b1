"""`maestro certs`: a development CA and certificates that every verifier accepts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import Invocation, MaestroCommand, MaestroGroup, current
from maestro_cli.errors import ExitCode, OutOfReach, UsageError

if TYPE_CHECKING:
    from maestro_cli.certs.description import Inspection
    from maestro_cli.certs.verification import Verification

app = typer.Typer(
    cls=MaestroGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Make, inspect, verify and renew certificates: a development CA, and server and client certificates from it.",
)

Directory = Annotated[
    Path | None,
    typer.Option("--directory", "-d", metavar="DIR", help="Folder of the files (default: certs.directory, or certs)."),
]
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--ca-passphrase-file", metavar="FILE", help="File with the passphrase of the CA's key (- is stdin)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and change nothing.")]
_CERTIFICATES = (".pem", ".crt", ".cer", ".der")

Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="For a server to answer.")]


@app.command(cls=MaestroCommand)
def generate(
    hosts: Annotated[list[str] | None, typer.Argument(metavar="[HOST]...", help="Names and addresses of the server.", show_default=False)] = None,
    directory: Directory = None,
    client: Annotated[list[str] | None, typer.Option("--client", metavar="NAME", help="Also a client certificate (mTLS) of this name; repeatable.")] = None,
    key_type: Annotated[str | None, typer.Option("--key-type", metavar="TYPE", help="rsa-4096 (default), rsa-3072, rsa-2048, ec-p256, ec-p384 or ed25519.")] = None,
    days: Annotated[int | None, typer.Option("--days", metavar="DAYS", help="Life of the certificates, 1 to 825 (default 397).")] = None,
    intermediate: Annotated[bool, typer.Option("--intermediate", help="Sign with an intermediate CA; the root's key can then be put away.")] = False,
    name_constraint: Annotated[list[str] | None, typer.Option("--name-constraint", metavar="DOMAIN|NET", help="The CA may only sign for these (loopback always); repeatable; makes an intermediate.")] = None,
    empty_subject: Annotated[bool, typer.Option("--empty-subject", help="No subject, only alternative names, which become critical.")] = False,
    csr: Annotated[bool, typer.Option("--csr", help="Also csr.pem, a signing request for the server's key.")] = False,
    pkcs12: Annotated[bool, typer.Option("--pkcs12", help="Also cert.p12, with a password from a prompt or a file.")] = False,
    pkcs12_password_file: Annotated[Path | None, typer.Option("--pkcs12-password-file", metavar="FILE", help="File with the password of the .p12 (- is stdin).")] = None,
    k8s_secret: Annotated[bool, typer.Option("--k8s-secret", help="Also k8s-secret.yaml, a manifest of type kubernetes.io/tls.")] = False,
    k8s_name: Annotated[str | None, typer.Option("--k8s-name", metavar="NAME", help="Its name (default: SERVICE-tls).")] = None,
    k8s_namespace: Annotated[str | None, typer.Option("--k8s-namespace", metavar="NAME", help="Its namespace (default: kubectl's).")] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the manifest there instead; - is stdout, private key and all.")] = None,
    ca_passphrase_file: PassphraseFile = None,
    sign_csr: Annotated[Path | None, typer.Option("--sign-csr", metavar="FILE", help="Sign this request of another machine, and nothing else.")] = None,
    bulk: Annotated[str | None, typer.Option("--bulk", metavar="FILE", help="A leaf for each line of names in FILE (- is stdin), and nothing else.")] = None,
    new_ca: Annotated[bool, typer.Option("--new-ca", help="Make a new CA although there is one.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what exists; old files are kept beside as .bak.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Make a development CA and a server certificate: ca.pem, cert.pem, key.pem, fullchain.pem, all at mode 0600.

    An existing CA is used again, so it is trusted once. An existing key is never replaced without `--force`. Names are DNS names, wildcards, IPv4 and
    IPv6 addresses, URIs and mail addresses; without any, `certs.hosts` of maestro.yaml, or localhost, 127.0.0.1, ::1, maestro-api, api.maestro.local.

    Examples: `maestro certs generate` · `maestro certs generate api.example.test 10.0.0.7 --key-type ec-p256` ·
    `maestro certs generate --client worker-7` · `maestro certs generate --bulk hosts.txt --key-type ec-p256`
    """
    from maestro_cli.commands import certs_generate as work

    invocation = current()
    request = work.Request(
        hosts=tuple(hosts or ()), directory=directory, clients=tuple(client or ()), key_type=key_type, days=days,
        intermediate=intermediate, constraints=tuple(name_constraint or ()), empty_subject=empty_subject, csr=csr,
        pkcs12=pkcs12 or pkcs12_password_file is not None, password_file=pkcs12_password_file, kubernetes=k8s_secret or output is not None,
        kubernetes_name=k8s_name, kubernetes_namespace=k8s_namespace, output=output, passphrase_file=ca_passphrase_file,
        new_ca=new_ca, force=force, dry_run=dry_run, as_json=as_json,
    )  # fmt: skip
    if sign_csr is not None and bulk is not None:
        raise UsageError("--sign-csr and --bulk are two different things.", hint="Choose one.")
    if sign_csr is not None:
        work.sign(invocation, request, sign_csr)
    elif bulk is not None:
        work.many(invocation, request, bulk)
    else:
        work.generate(invocation, request)


@app.command(cls=MaestroCommand)
def inspect(
    targets: Annotated[list[str], typer.Argument(metavar="FILE|HOST:PORT...", help="Certificate, key, request or PKCS #12 files, folders, servers.", show_default=False)],
    expiry: Annotated[bool, typer.Option("--expiry", help="Only when each certificate ends: made for thousands of files.")] = False,
    server_name: Annotated[str | None, typer.Option("--server-name", metavar="NAME", help="Name to ask a server for (SNI).")] = None,
    password_file: Annotated[Path | None, typer.Option("--password-file", metavar="FILE", help="File with the password of a .p12 (- is stdin).")] = None,
    timeout: Timeout = 10.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show what is in a certificate file or what a server presents: names, issuer, key, life, and every rule it breaks.

    Nothing is trusted and nothing is judged here: the exit code is 0 if it could be read. `maestro certs verify` judges.

    Examples: `maestro certs inspect certs/fullchain.pem` · `maestro certs inspect localhost:8443 --json` ·
    `maestro certs inspect --expiry /etc/ssl/certs`
    """
    from maestro_cli.certs.inspection import expiries, inspect_file
    from maestro_cli.commands.certs_input import read_secret
    from maestro_cli.commands.certs_view import expiry_text, inspection_text

    invocation = current()
    now = invocation.now()
    if expiry:
        found = sorted(expiries(_files(targets), now=now), key=lambda one: one.not_after)
        if as_json:
            invocation.out_json([{"source": one.source, "name": one.name, "not_after": one.not_after.isoformat(), "days_left": one.days_left} for one in found])  # fmt: skip
        else:
            invocation.out(expiry_text(found))
        return
    password = None if password_file is None else read_secret(invocation, password_file, "the password of the file")
    results: list[Inspection] = []
    for target in targets:
        server = _server(invocation, target, server_name, timeout)
        if server is not None:
            results.append(server)
        else:
            results += [inspect_file(path, now=now, password=password) for path in _files([target])]
    if as_json:
        plain = [result.as_dict() for result in results]
        invocation.out_json(plain[0] if len(plain) == 1 else plain)
    else:
        invocation.out("\n\n".join(inspection_text(result) for result in results))


def _server(invocation: Invocation, target: str, server_name: str | None, timeout: float) -> Inspection | None:
    from maestro_cli.certs.endpoint import fetch_chain, parse_address
    from maestro_cli.certs.inspection import inspect_presented

    address = None if Path(target).exists() else parse_address(target)
    if address is None:
        return None
    return inspect_presented(fetch_chain(*address, server_name=server_name, timeout_s=timeout), now=invocation.now())


def _files(targets: list[str]) -> Iterator[Path]:
    """The files named, and of folders those that hold certificates by their names."""
    for target in targets:
        path = Path(target)
        if not path.is_dir():
            yield path
            continue
        with os.scandir(path) as entries:
            names = sorted(one.name for one in entries if one.name.endswith(_CERTIFICATES) and one.is_file())
        found = [name for name in names if not name.endswith("key.pem") and name != "csr.pem"]
        if not found:
            raise OutOfReach(f"{path} holds no certificate files.", hint="Make some: maestro certs generate")
        yield from (path / name for name in found)


@app.command(cls=MaestroCommand)
def verify(
    target: Annotated[str | None, typer.Argument(metavar="[FILE|DIR|HOST:PORT]", help="What to verify (default: the certificates' folder).", show_default=False)] = None,
    directory: Directory = None,
    ca: Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="CA to trust (default: ca.pem beside it, api.ca_file for a server).")] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="The private key (default: the one beside it).")] = None,
    host: Annotated[list[str] | None, typer.Option("--host", metavar="NAME", help="It has to be for this name; repeatable.")] = None,
    also: Annotated[list[Path] | None, typer.Option("--also", metavar="DIR", help="Another environment's folder: no key may be in both; repeatable.")] = None,
    purpose: Annotated[str | None, typer.Option("--purpose", metavar="server|client", help="What it has to be for (default: what it says).")] = None,
    timeout: Timeout = 10.0,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Judge certificates: chain, names, purpose, key, file modes, weak keys, and a strict TLS handshake; say why not.

    Exit code 0: everything holds. 1: something does not. 3: a file or server is out of reach.

    Examples: `maestro certs verify` · `maestro certs verify certs/fullchain.pem --host api.example.test` ·
    `maestro certs verify localhost:8443 --ca certs/ca.pem`
    """
    from maestro_cli.commands.certs_verify import verification
    from maestro_cli.commands.certs_view import verification_text

    invocation = current()
    if purpose not in {None, "server", "client"}:
        raise UsageError(f"No purpose {purpose!r}.", hint="Choose server or client.")
    found: Verification = verification(
        invocation,
        target,
        directory=directory,
        ca=ca,
        key=key,
        hosts=host or [],
        others=also or [],
        purpose=purpose,
        timeout=timeout,
    )
    if as_json:
        invocation.out_json(found.as_dict())
    else:
        invocation.out(verification_text(found))
    if not found.holds:
        invocation.say("Next: maestro certs renew, or maestro certs generate --force")
        raise typer.Exit(ExitCode.NOT_MET)


@app.command(cls=MaestroCommand)
def renew(
    directory: Directory = None,
    everything: Annotated[bool, typer.Option("--all", help="Renew every certificate, due or not.")] = False,
    days_left: Annotated[int | None, typer.Option("--days-left", metavar="DAYS", min=0, help="Due is what has fewer days left than this.")] = None,
    reuse_key: Annotated[bool, typer.Option("--reuse-key", help="Keep the private keys.")] = False,
    days: Annotated[int | None, typer.Option("--days", metavar="DAYS", help="New life (default: as long as the old one).")] = None,
    hook: Annotated[str | None, typer.Option("--hook", metavar="COMMAND", help="Run this after a renewal, without a shell; MAESTRO_RENEWED names the files.")] = None,
    ca_passphrase_file: PassphraseFile = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Replace the certificates that are past two thirds of their life, each with its key, all in one step. Made for cron.

    When nothing is due it does nothing and says so. Names, purpose and length of life stay; the old pair is kept beside as `.previous`. A hook that
    was cut off runs again with the next renewal. The root is never renewed by itself: it would have to be trusted anew.

    Example, daily: `maestro certs renew --quiet --hook "systemctl reload nginx"`
    """
    from maestro_cli.commands.certs_renew import Asked, run

    run(
        current(),
        Asked(directory, everything, days_left, reuse_key, days, hook, ca_passphrase_file, dry_run, as_json),
    )


@app.command(cls=MaestroCommand)
def trust(
    directory: Directory = None,
    stores: Annotated[list[str] | None, typer.Option("--store", metavar="NAME", help="Only this one: system, nss (browsers) or java; repeatable.")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="The commands that take the trust back.")] = False,
    install: Annotated[bool, typer.Option("--install", help="Run them, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Show the commands that make this machine trust the CA, and with `--install` run them. Never silently.

    Whoever has ca-key.pem can impersonate every site to a machine that trusts ca.pem: `certs generate --name-constraint` bounds that.

    Examples: `maestro certs trust` · `maestro certs trust --install --store system` · `maestro certs trust --undo --install`
    """
    from maestro_cli.commands.certs_trust import run

    run(current(), directory=directory, stores=stores or [], undo=undo, install=install, yes=yes, as_json=as_json)
