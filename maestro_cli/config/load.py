"""maestro.yaml → `Loaded`: settings, where each key stands, and the values that must never be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from maestro_cli.config.build import EMPTY, Builder, is_invalid
from maestro_cli.config.declared import declared_problems
from maestro_cli.config.interpolation import Variables, is_secret_name
from maestro_cli.config.settings import Settings
from maestro_cli.config.source import Node, Problem, UnreadableError, parse, read_text
from maestro_cli.errors import ConfigurationError
from maestro_cli.records import record


@record(frozen=True)
class Loaded:
    """A configuration and its provenance.

    Attributes:
        settings: The typed settings.
        root: The folder that relative paths start from.
        path: The file, as the user named it; None where there is none.
        lines: Key path (`api.auth.accounts[0].password`) → line.
        references: Key path → the variables it was read from.
        secrets: Values that must never be shown.
        env_file_values: What env_file holds.
    """

    settings: Settings
    root: Path
    path: Path | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    references: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    env_file_values: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def where(self, key: str) -> str:
        """`maestro.yaml:12` for a key, or the file alone where the key is not written."""
        name = str(self.path) if self.path is not None else "maestro.yaml"
        line = self.lines.get(key)
        return f"{name}:{line}" if line is not None else name


def without_file(root: Path, *, environment: str | None = None) -> Loaded:
    """The defaults, where there is no maestro.yaml."""
    return Loaded(_with_environment(Settings(), environment), root)


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    environment: str | None = None,
    on_secrets: Callable[[Iterable[str]], None] | None = None,
    require_variables: bool = True,
    text: str | None = None,
) -> Loaded:
    """Read a configuration file.

    Args:
        path: The file.
        environ: The process environment.
        environment: Overrides service.environment.
        on_secrets: Told every secret value as soon as it is known, before any problem is reported.
        require_variables: False reads unset `${NAME}` and a missing env_file as empty, for commands that make them.
        text: What the file holds or is to hold, where it is not read: for commands that write one.

    Raises:
        ConfigurationError: With every problem, each as `file:line: key: what is wrong`.
    """
    problems: list[Problem] = []
    try:
        root_node, found = parse(read_text(path) if text is None else text)
    except UnreadableError as error:
        raise _configuration_error(path, list(error.problems)) from None
    problems.extend(found)
    node = root_node if root_node is not None else Node("mapping", 1)
    if node.kind == "scalar" and node.plain and node.text in EMPTY:
        node = Node("mapping", 1)
    env_file, file_values = _env_file(node, path, environ, problems, required=require_variables)
    builder = Builder(Variables(environ, file_values, env_file, required=require_variables))
    settings = builder.section(node, Settings, "")
    builder.secrets.update(value for name, value in file_values.items() if value and is_secret_name(name))
    if on_secrets is not None:
        on_secrets({*builder.secrets, *(value for value in file_values.values() if "://" in value and "@" in value)})
    problems.extend(builder.problems)
    if not is_invalid(settings):
        problems.extend(_semantic_problems(settings, builder.lines))
    if problems:
        raise _configuration_error(path, problems)
    return Loaded(
        settings=_with_environment(settings, environment),
        root=path.absolute().parent,
        path=path,
        lines=builder.lines,
        references=builder.references,
        secrets=frozenset(builder.secrets),
        env_file_values=file_values,
    )


def _with_environment(settings: Settings, environment: str | None) -> Settings:
    if environment is None:
        return settings
    service: Any = replace(settings.service, environment=environment)  # type: ignore[arg-type] # checked by the caller
    return replace(settings, service=service)


def _env_file(
    node: Node, path: Path, environ: Mapping[str, str], problems: list[Problem], *, required: bool
) -> tuple[str | None, dict[str, str]]:
    line, entry = node.entries.get("env_file", (0, None)) if node.kind == "mapping" else (0, None)
    if entry is None or entry.kind != "scalar" or not entry.text:
        return None, {}
    name, _, wrong = Variables(environ, {}, None).substitute(entry.text)
    if wrong:
        return None, {}  # noted by the builder
    file = path.absolute().parent / name
    try:
        from maestro_cli.config.environment_file import read_environment_file

        return name, read_environment_file(file)
    except FileNotFoundError:
        if required:
            problems.append(Problem(line, "env_file", f"{name} does not exist; make it with: maestro secrets generate"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text of NAME=value lines"
        problems.append(Problem(line, "env_file", f"{name} cannot be read: {reason}"))
    return name, {}


def _semantic_problems(settings: Settings, lines: Mapping[str, int]) -> list[Problem]:
    """What no single key can tell."""
    problems: list[Problem] = []
    gates = ("development", "staging", "production")
    problems.extend(
        Problem(
            lines.get(f"readiness.gates.{name}", 1), f"readiness.gates.{name}", f"must be one of {', '.join(gates)}"
        )
        for name in settings.readiness.gates
        if name not in gates
    )
    url = settings.api.url if settings.api is not None else None
    if url is not None and url and not url.startswith(("https://", "http://")):
        problems.append(Problem(lines.get("api.url", 1), "api.url", "must start with https:// or http://"))
    weights = vars(settings.readiness.components)
    if not any(weights.values()):
        problems.append(
            Problem(
                lines.get("readiness.components", 1), "readiness.components", "all weights are 0; no total is possible"
            )
        )
    problems.extend(declared_problems(settings.checks, lines))
    for index, waiver in enumerate(settings.waivers):
        problems.extend(
            Problem(lines.get(f"waivers[{index}]", 1), f"waivers[{index}].{name}", "must not be empty")
            for name in ("reason", "owner")
            if not getattr(waiver, name).strip()
        )
        if not waiver.environments:
            line = lines.get(f"waivers[{index}]", 1)
            problems.append(Problem(line, f"waivers[{index}].environments", "must name at least one environment"))
    return problems


def _configuration_error(path: Path, problems: list[Problem]) -> ConfigurationError:
    unique = sorted(set(problems), key=lambda problem: (problem.line, problem.key))
    lines = [
        ": ".join(
            part
            for part in (f"{path}:{problem.line}" if problem.line else str(path), problem.key, problem.message)
            if part
        )
        for problem in unique
    ]
    if len(lines) == 1:
        message = lines[0]
    else:
        message = f"{path} has {len(lines)} problems; nothing was run\n" + "\n".join(f"  {line}" for line in lines)
    return ConfigurationError(message, hint="Every key is explained by: maestro config schema --text")
