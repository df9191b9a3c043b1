"""readiness: the application's own settings, required variables, and an environment that is what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from check_support import context, expect, free_port, run_check
from small_api import Asked, Said, serving

from maestro_cli.api import Context

LOADER = """
import os

class Settings:
    debug = False

def load():
    print("noise on stdout", flush=True)
    {}
    return Settings()
"""
SECRET = "pEv8Wn3qTz6yXr1mKc5jHd9b"


def with_loader(
    folder: Path, body: str, *, env: str = f"JWT_SECRET_KEY={SECRET}\n", target: str = "app.conf:load"
) -> Context:
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "__init__.py").touch()
    (folder / "app" / "conf.py").write_text(LOADER.format(body))
    (folder / ".env").write_text(env)
    return context(folder, f"env_file: .env\nreadiness: {{project: {{settings: '{target}'}}}}\n")


def test_settings_that_load(project: Path) -> None:
    ctx = with_loader(project, "os.environ['JWT_SECRET_KEY']")
    expect(run_check("readiness.settings-load", ctx), "pass", "Settings")


def test_the_project_s_code_yields_to_the_service(project: Path) -> None:
    """It is the service's processor as well, and its users' requests are timed meanwhile."""
    body = f"open({str(project / 'niceness')!r}, 'w').write(str(os.nice(0)))"
    expect(run_check("readiness.settings-load", with_loader(project, body)), "pass")
    assert int((project / "niceness").read_text()) == min(19, os.nice(0) + 10)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("os.environ['STRIPE_KEY']", ("KeyError", "STRIPE_KEY")),
        ("raise ValueError('set REDIS_URL, not ' + os.environ['JWT_SECRET_KEY'])", ("ValueError", "REDIS_URL")),
        ("import not_installed_anywhere", ("ModuleNotFoundError",)),
        ("raise SystemExit(3)", ("SystemExit",)),
        ("os._exit(3)", ("died with exit code 3",)),
        ("os.abort()", ("died with signal 6",)),
        (
            "import pydantic; pydantic.TypeAdapter(dict[str, int]).validate_python({'max_age': 'x'})",
            ("max_age: int_parsing",),
        ),
    ],
)
def test_settings_that_do_not_load(project: Path, body: str, words: tuple[str, ...]) -> None:
    result = expect(run_check("readiness.settings-load", with_loader(project, body)), "fail", *words)
    assert SECRET not in repr(result)


@pytest.mark.parametrize("target", ["nowhere.at_all:load", "app.conf:unload"])
def test_a_loader_that_is_not_there_is_a_mistake_of_the_configuration(project: Path, target: str) -> None:
    result = run_check("readiness.settings-load", with_loader(project, "pass", target=target))
    expect(result, "error", "readiness.project.settings names")


def test_a_loader_that_hangs_is_an_error_and_leaves_no_process(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maestro_cli.observe.application.TIMEOUT_S", 1.5)
    body = "import time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    expect(run_check("readiness.settings-load", with_loader(project, body)), "error", "did not end within")
    with pytest.raises(ProcessLookupError):
        os.kill(int((project / "pid").read_text()), 0)


def test_a_loader_sees_env_file_behind_the_process_environment(project: Path) -> None:
    ctx = with_loader(project, "assert os.environ['A'] == '1' and os.environ['B'] == '3'", env="A=1\nB=2\n")
    ctx.environ = {"B": "3"}
    expect(run_check("readiness.settings-load", ctx), "pass")


def test_threads_that_a_loader_leaves_do_not_hold_it_up(project: Path) -> None:
    body = "import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()"
    expect(run_check("readiness.settings-load", with_loader(project, body)), "pass")


def with_variables(folder: Path, env: str, yaml: str = "secrets: {required: {JWT_SECRET_KEY: 256}}") -> Context:
    (folder / ".env").write_text(env)
    return context(folder, f"env_file: .env\nservice: {{name: '${{NAME_OF_IT:-x}}'}}\n{yaml}\n")


def test_required_variables_that_are_set(project: Path) -> None:
    ctx = with_variables(project, f"JWT_SECRET_KEY={SECRET}\nNAME_OF_IT=shop\n")
    expect(run_check("readiness.required-variables", ctx), "pass", "JWT_SECRET_KEY", "NAME_OF_IT")


@pytest.mark.parametrize(
    ("env", "word"),
    [
        ("OTHER=1\n", "JWT_SECRET_KEY is missing"),
        ("JWT_SECRET_KEY=\n", "JWT_SECRET_KEY is empty"),
        ("JWT_SECRET_KEY=changeme\n", "JWT_SECRET_KEY is a placeholder"),
        ("JWT_SECRET_KEY=<your secret here>\n", "JWT_SECRET_KEY is a placeholder"),
        ("JWT_SECRET_KEY=your-256-bit-secret-key\n", "JWT_SECRET_KEY is a placeholder"),
        (f"JWT_SECRET_KEY={SECRET}\nNAME_OF_IT=<name>\n", "NAME_OF_IT is a placeholder"),
    ],
)
def test_required_variables_that_are_not(project: Path, env: str, word: str) -> None:
    expect(run_check("readiness.required-variables", with_variables(project, env)), "fail", word)


def test_no_variable_is_required(project: Path) -> None:
    expect(run_check("readiness.required-variables", context(project, "version: 1")), "skip", "secrets.required")


def unknown_path(asked: Asked) -> Said:
    return Said(404, b'{"detail": "Not Found"}')


def in_production(folder: Path, env: str, url: str | None = None, environment: str = "production") -> Context:
    (folder / ".env").write_text(env)
    api = f"api: {{url: '{url}'}}\n" if url else ""
    return context(folder, f"service: {{environment: {environment}}}\nenv_file: .env\n{api}")


def test_an_environment_that_is_what_it_says(project: Path) -> None:
    with serving(unknown_path) as port:
        ctx = in_production(project, "ENVIRONMENT=production\nDEBUG=false\n", f"http://127.0.0.1:{port}")
        expect(run_check("readiness.environment", ctx), "pass", "ENVIRONMENT says production", "/docs 404")


@pytest.mark.parametrize(
    ("env", "environment", "status", "word"),
    [
        ("ENVIRONMENT=development\n", "production", "fail", "says development"),
        ("APP_ENV=prod\nDEBUG=True\n", "production", "fail", "switched on by DEBUG"),
        ("NODE_ENV=production\n", "production", "pass", "NODE_ENV"),
        ("ENVIRONMENT=\n", "production", "fail", "says nothing"),
        ("A=1\n", "production", "warn", "No variable"),
        ("ENVIRONMENT=development\n", "staging", "fail", "says development"),
        ("ENVIRONMENT=production\n", "staging", "pass", "production"),
        ("ENVIRONMENT=development\nDEBUG=1\n", "development", "pass", "development"),
        ("A=1\n", "development", "pass", "Nothing says"),
        ("DEBUG=1\n", "development", "pass", "DEBUG"),
        ("DEBUG=1\n", "staging", "fail", "switched on by DEBUG"),
    ],
)
def test_variables_by_environment(project: Path, env: str, environment: str, status: str, word: str) -> None:
    expect(run_check("readiness.environment", in_production(project, env, environment=environment)), status, word)


def test_of_an_api_in_development_without_an_env_file_nothing_is_asked(project: Path) -> None:
    """What `maestro init` writes for a service that has no .env yet."""
    ctx = context(project, "api: {url: 'http://127.0.0.1:9'}\n")
    expect(run_check("readiness.environment", ctx), "skip", "env_file is not configured")


OPEN = {"/docs": b"<script src=swagger-ui-bundle.js>", "/openapi.json": b'{"openapi": "3.1.0"}'}


@pytest.mark.parametrize("path", OPEN)
def test_open_documentation_fails_in_production(project: Path, path: str) -> None:
    def answering(asked: Asked) -> Said:
        return Said(200, OPEN[path]) if asked.path == path else unknown_path(asked)

    with serving(answering) as port:
        ctx = in_production(project, "ENVIRONMENT=production\n", f"http://127.0.0.1:{port}")
        expect(run_check("readiness.environment", ctx), "fail", path)


def test_a_debug_page_fails(project: Path) -> None:
    with serving(lambda _: Said(404, b"You're seeing this error because you have <code>DEBUG = True</code>")) as port:
        ctx = in_production(project, "ENVIRONMENT=production\n", f"http://127.0.0.1:{port}")
        expect(run_check("readiness.environment", ctx), "fail", "debug page")


@pytest.mark.parametrize("status", [200, 500])
def test_an_api_that_says_the_same_to_everything_tells_nothing(project: Path, status: int) -> None:
    with serving(lambda _: Said(status)) as port:
        ctx = in_production(project, "ENVIRONMENT=production\n", f"http://127.0.0.1:{port}")
        expect(run_check("readiness.environment", ctx), "error", str(status))


def test_with_the_api_down_a_wrong_variable_still_fails(project: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    expect(run_check("readiness.environment", in_production(project, "DEBUG=1\n", url)), "fail", "DEBUG")
    result = run_check("readiness.environment", in_production(project, "ENVIRONMENT=production\n", url))
    assert expect(result, "error").needs == "the API"


def test_a_ci_systems_own_switches_are_not_the_services(project: Path) -> None:
    ctx = in_production(project, "ENVIRONMENT=production\n")
    ctx.environ = {"RUNNER_DEBUG": "1", "VIRTUAL_ENV": "/x", "NODE_ENV": "development"}
    expect(run_check("readiness.environment", ctx), "pass")
    ctx.environ = {"DEBUG": "1"}
    expect(run_check("readiness.environment", ctx), "fail", "DEBUG")
