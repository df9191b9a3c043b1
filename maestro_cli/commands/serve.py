"""`maestro serve`: the configured application over HTTPS, with certificates made where there are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from maestro_cli.commands.base import MaestroCommand, MaestroGroup, current
from maestro_cli.errors import OutOfReach, UsageError

if TYPE_CHECKING:
    from maestro_cli.commands.base import Invocation
    from maestro_cli.serving import ServePlan

app = typer.Typer(cls=MaestroGroup, add_completion=False)

Scheme = Literal["https", "http"]
_THIS_MACHINE = {"0.0.0.0", "127.0.0.1", "::", "::1"}  # noqa: S104 - names to show, nothing is bound here


@app.command(cls=MaestroCommand)
def serve(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[https|http] [MODULE:APP]", help="How and what (default: https, and api.app).", show_default=False
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on; 0.0.0.0 for all.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="PORT",
            min=0,
            max=65535,
            help="Port (default: 8443, or 8000 for http).",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", metavar="N", min=1, max=512, help="Processes (default: one a usable core).", show_default=False
        ),
    ] = None,
    reload: Annotated[
        bool, typer.Option("--reload", help="One process that starts again when a source file changes.")
    ] = False,
    drain: Annotated[
        int, typer.Option("--drain", metavar="SECONDS", min=0, help="How long requests may take after SIGTERM.")
    ] = 30,
    cert: Annotated[
        Path | None,
        typer.Option(
            "--cert", metavar="FILE", help="Certificate chain (default: that of certs.directory).", show_default=False
        ),
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="Its private key.", show_default=False)
    ] = None,
    proxies: Annotated[
        str | None,
        typer.Option(
            "--trust-proxies",
            metavar="ADDRESSES",
            help="Believe X-Forwarded-For from these (nobody by default).",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve the application over HTTPS on port 8443 with the generated certificate, making it first where it is missing.

    TLS 1.2 and newer. What env_file holds is in the application's environment. SIGTERM lets the requests under way end.
    `maestro serve http` serves without encryption, on port 8000.

    Examples: `maestro serve` · `maestro serve https service.main:app --host 0.0.0.0 --workers 4` · `maestro serve http --reload`
    """  # fmt: skip
    from maestro_cli import serving

    invocation = current()
    scheme, name = _what(what or [])
    serving.require_uvicorn()
    name = name or _configured_app(invocation)
    processes = serving.check_workers(workers, reload=reload)
    pair = _pair(invocation, cert, key) if scheme == "https" else None
    if pair is not None:
        serving.check_pair(*pair)
    number = port if port is not None else serving.HTTPS_PORT if scheme == "https" else serving.HTTP_PORT
    listener = serving.bind(host, number)
    folder = invocation.unresolved.root
    if invocation.configured:
        os.chdir(folder)  # as the application finds its own files
    serving.load_environment(invocation.unresolved.env_file_values, os.environ)
    serving.check_app(name, folder, run=not reload)
    plan = serving.ServePlan(
        name,
        host,
        processes,
        cert=None if pair is None else pair[0],
        key=None if pair is None else pair[1],
        reload=reload,
        drain_s=drain,
        trusted_proxies=proxies,
    )
    _announce(invocation, plan, scheme, listener.getsockname()[1])
    from maestro_cli.serving_process import serve as run

    if not run(plan, listener):
        raise OutOfReach(
            f"{name} did not start; its own messages are above.", hint="Its settings: maestro validate readiness"
        )


def _what(arguments: list[str]) -> tuple[Scheme, str | None]:
    scheme: Scheme = "https"
    rest = list(arguments)
    if rest and rest[0] in {"https", "http"}:
        scheme = "http" if rest.pop(0) == "http" else "https"
    if len(rest) > 1 or (rest and ":" not in rest[0]):
        raise UsageError(
            f"cannot make out {' '.join(rest)!r}",
            hint="Write: maestro serve [https|http] [MODULE:APP], e.g. service.main:app",
        )
    return scheme, rest[0] if rest else None


def _configured_app(invocation: Invocation) -> str:
    api = invocation.unresolved.settings.api
    if api is None or api.app is None:
        raise UsageError(
            "no application to serve",
            hint="Name it: maestro serve https service.main:app        or set api.app in maestro.yaml",
        )
    return api.app


def _pair(invocation: Invocation, cert: Path | None, key: Path | None) -> tuple[Path, Path]:
    if (cert is None) != (key is None):
        raise UsageError("--cert and --key go together", hint="Name both, or neither for the generated ones.")
    if cert is not None and key is not None:
        return cert.absolute(), key.absolute()
    from maestro_cli.certs import ensure_pair
    from maestro_cli.config.settings import Certs

    configured = invocation.unresolved.settings.certs or Certs()
    directory = invocation.unresolved.root / configured.directory
    there = (directory / "key.pem").exists()
    if not there:
        invocation.say(f"making a development CA and a certificate in {directory} ({configured.key_type}) …")
    pair = ensure_pair(
        directory, hosts=configured.hosts, key_type=configured.key_type, days=configured.days, now=invocation.now()
    )
    if not there:
        invocation.say(f"clients trust it with {pair.ca}; see: maestro certs trust")
    return (pair.fullchain if pair.fullchain.exists() else pair.cert).absolute(), pair.key.absolute()


def _announce(invocation: Invocation, plan: ServePlan, scheme: Scheme, port: int) -> None:
    if scheme == "http":
        invocation.say(
            "warning: plain HTTP: passwords and tokens can be read on the way. With TLS: maestro serve https"
        )
    name = "localhost" if plan.host in _THIS_MACHINE else plan.host
    shown = f"[{name}]" if ":" in name else name
    processes = f"{plan.workers} processes" if plan.workers > 1 else "one process"
    invocation.say(f"serving {plan.app} on {scheme}://{shown}:{port} ({processes}); stop with Ctrl-C")
