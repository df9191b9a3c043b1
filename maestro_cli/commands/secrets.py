"""`maestro secrets`: strong values in a private file, audited and rotated. No value is ever shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maestro_cli.commands.base import MaestroCommand, MaestroGroup, current
from maestro_cli.commands.secrets_files import (
    assignments,
    file_of,
    ignored_outputs,
    key_files,
    required_in,
    required_of,
    seed_secrets,
    siblings,
    template_of,
)
from maestro_cli.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from maestro_cli.commands.base import Invocation

app = typer.Typer(
    cls=MaestroGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Make strong secrets in a private .env, audit them, rotate them. Their values are never shown.",
)

File = Annotated[
    Path | None, typer.Option("--file", "-f", metavar="FILE", help="The file (default: env_file, or .env).")
]
Kubernetes = Annotated[
    Path | None, typer.Option("--k8s-secret", metavar="FILE", help="Also write a Kubernetes Secret manifest, 0600.")
]
KubernetesName = Annotated[
    str | None, typer.Option("--k8s-name", metavar="NAME", help="Its name (default: SERVICE-secrets).")
]
Namespace = Annotated[
    str | None, typer.Option("--k8s-namespace", metavar="NAME", help="Its namespace (default: kubectl's).")
]
Docker = Annotated[
    Path | None,
    typer.Option("--docker-secrets", metavar="DIR", help="Also write one file a secret, 0400, for docker compose."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and change nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


@app.command(cls=MaestroCommand)
def generate(
    file: File = None,
    template: Annotated[
        Path | None,
        typer.Option(
            "--template", metavar="FILE", help="What a new file looks like (default: .env.example, or maestro's)."
        ),
    ] = None,
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A plain setting, such as POSTGRES_HOST=db; repeatable."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="New values for secrets that have one; the old file is kept beside as .bak.")
    ] = False,
    kubernetes: Kubernetes = None,
    kubernetes_name: KubernetesName = None,
    namespace: Namespace = None,
    docker: Docker = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Write .env at mode 0600 with a strong value for every secret in `secrets.required`.

    Values, comments and order of an existing file are kept; only what is missing is added. URLs are built from the
    passwords. `.env.example` gets the same names without values, and `.gitignore` the lines that keep both of them apart.
    In a template, `NAME=<secret 256>` asks for a random value and `${NAME}` stands for another variable.

    Examples: `maestro secrets generate` · `maestro secrets generate --set POSTGRES_HOST=db --docker-secrets secrets`
    """
    from maestro_cli.commands import secrets_view as view
    from maestro_cli.secrets.generation import generate as run

    invocation = current()
    path = file_of(invocation, file)
    done = run(
        path,
        now=invocation.now(),
        required=required_of(invocation),
        template=template_of(path, template),
        given=assignments(assign or []),
        force=force,
        dry_run=dry_run,
        ignore=(*key_files(invocation, path), *ignored_outputs(path, kubernetes, docker)),
    )
    if not dry_run:
        _export(invocation, path, kubernetes, kubernetes_name, namespace, docker, force=force)
    if as_json:
        invocation.out_json(view.generated_json(done, dry_run=dry_run))
    else:
        invocation.out(view.generated_text(done, dry_run=dry_run))
    for name, problems in done.weak.items():
        said = "; ".join(problem.message for problem in problems)
        invocation.say(f"warning: {name} was kept, but it {said}. A new value: maestro secrets rotate {name}")
    if not dry_run:
        invocation.say("Next: maestro secrets audit")


@app.command(cls=MaestroCommand)
def audit(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="The files (default: env_file, or .env).", show_default=False),
    ] = None,
    no_git: Annotated[bool, typer.Option("--no-git", help="Do not ask git, nor search its history.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge every secret and the file it is in: strength, age, mode, owner, reuse, and git with its whole history.

    The secrets are those of `secrets.required`, variables that are named like one, and passwords in URLs. Exit code 0:
    no rule is broken. 1: one is. 3: a file cannot be read.

    Examples: `maestro secrets audit` · `maestro secrets audit .env.staging .env.production --json`
    """
    from maestro_cli.commands import secrets_view as view
    from maestro_cli.secrets.audit import audit_file

    invocation = current()
    settings = invocation.unresolved.settings
    paths = files or [file_of(invocation, None)]
    days = settings.secrets.max_age_days if settings.secrets else 90
    audits = [
        audit_file(
            path,
            required_in(invocation, path),
            invocation.now(),
            days,
            git=not no_git,
            others=[other for other in (*paths, *siblings(path)) if other != path],
            words=(settings.service.name, path.absolute().parent.name),
        )
        for path in paths
    ]
    if as_json:
        invocation.out_json(view.audits_json(audits))
    else:
        invocation.out(view.audits_text(audits))
    if any(found.failed for found in audits):
        raise typer.Exit(ExitCode.NOT_MET)


@app.command(cls=MaestroCommand)
def rotate(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="The secrets (default: all of secrets.required).", show_default=False),
    ] = None,
    file: File = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", help="Only those older than this, or of unknown age: 90d, 12h, 4w."
        ),
    ] = None,
    grace: Annotated[
        str | None,
        typer.Option(
            "--grace",
            metavar="AGE",
            help="How long NAME_PREVIOUS stays (default: secrets.grace_days; 0 for not at all).",
        ),
    ] = None,
    backup: Annotated[bool, typer.Option("--backup/--no-backup", help="Keep the old file beside as .bak.")] = True,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give secrets new values. URLs that hold a rotated password change with it; all of it at once or not at all.

    The old value of a key stays under NAME_PREVIOUS until its grace period ends, for applications that read both; the
    next rotation after that removes it. A password has no previous value: the server that checks it knows one only,
    so change it there too. Fit for cron: with `--older-than` nothing happens while nothing is due.

    Examples: `maestro secrets rotate JWT_SECRET_KEY` · `maestro secrets rotate --older-than 90d`
    """
    from datetime import timedelta

    from maestro_cli.commands import secrets_view as view
    from maestro_cli.commands.durations import parse_age
    from maestro_cli.secrets.rotation import rotate as run
    from maestro_cli.secrets.store import FileStore

    invocation = current()
    configured = invocation.unresolved.settings.secrets
    days = timedelta(days=configured.grace_days if configured else 7)
    done = run(
        FileStore(file_of(invocation, file)),
        now=invocation.now(),
        required=required_of(invocation) or seed_secrets(),
        names=names or (),
        older_than=None if older_than is None else parse_age(older_than, "--older-than"),
        grace=days if grace is None else parse_age(grace, "--grace"),
        backup=backup,
        dry_run=dry_run,
    )
    if as_json:
        invocation.out_json(view.rotation_json(done, dry_run=dry_run))
    else:
        invocation.out(view.rotation_text(done, dry_run=dry_run))
    for note in view.rotation_notes(done) if not dry_run else ():
        invocation.say(note)


@app.command(cls=MaestroCommand)
def export(
    file: File = None,
    kubernetes: Kubernetes = None,
    kubernetes_name: KubernetesName = None,
    namespace: Namespace = None,
    docker: Docker = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that hold something else.")] = False,
) -> None:
    """Write the secrets of .env as a Kubernetes Secret (0600) or as files for Docker (0400 each).

    Secrets, and the URLs that hold one, are written; plain settings are not.

    Examples: `maestro secrets export --k8s-secret secret.yaml` · `maestro secrets export --docker-secrets secrets`
    """
    invocation = current()
    if kubernetes is None and docker is None:
        raise UsageError("nothing to write", hint="Name one: --k8s-secret FILE or --docker-secrets DIR")
    _export(invocation, file_of(invocation, file), kubernetes, kubernetes_name, namespace, docker, force=force)


def _export(
    invocation: Invocation,
    path: Path,
    kubernetes: Path | None,
    name: str | None,
    namespace: str | None,
    docker: Path | None,
    *,
    force: bool,
) -> None:
    if kubernetes is None and docker is None:
        return
    from maestro_cli.filesystem import locked
    from maestro_cli.secrets.ignore import ignore_lines
    from maestro_cli.secrets.output import secret_variables, write_docker_secrets, write_kubernetes_secret
    from maestro_cli.secrets.store import read_document

    values = secret_variables(read_document(path).values, required_of(invocation) or {})
    with locked(path.parent) as folder:
        ignore_lines(folder, ignored_outputs(path, kubernetes, docker))
    if kubernetes is not None:
        service = invocation.unresolved.settings.service.name
        write_kubernetes_secret(
            kubernetes, name or f"{service}-secrets".lower(), values, namespace=namespace, force=force
        )
        invocation.say(f"{kubernetes}: {len(values)} secrets. Next: kubectl apply -f {kubernetes}")
    if docker is not None:
        written = write_docker_secrets(docker, values, force=force)
        invocation.say(f"{docker}: {len(written)} files, 0400. Name them under `secrets:` in compose.yaml.")
