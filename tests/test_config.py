"""maestro.yaml: what is right is typed, what is wrong is named with file, line and key, and no secret is ever shown."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import jsonschema
import pytest
import yaml

from maestro_cli.commands.main import run
from maestro_cli.config import load
from maestro_cli.config.readiness_settings import DEFAULT_GATES
from maestro_cli.config.schema import json_schema, text
from maestro_cli.config.settings import Settings
from maestro_cli.errors import ConfigurationError
from maestro_cli.redaction import Secret

EXAMPLE = Path(__file__).parent.parent / "maestro.yaml.example"
VARIABLES = {
    "JWT_SECRET_KEY": "canary-jwt-4711",
    "PROBE_A_PASSWORD": "canary-a-4711",
    "PROBE_B_PASSWORD": "canary-b-4711",
    "DATABASE_URL": "postgresql+asyncpg://maestro:canary-db-4711@localhost:15432/maestro_ml",
    "REDIS_URL": "redis://:canary-redis-4711@localhost:16379/0",
}


def write(folder: Path, content: str | bytes, name: str = "maestro.yaml") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def problems(folder: Path, content: str | bytes, environ: dict[str, str] | None = None) -> str:
    path = write(folder, content)
    with pytest.raises(ConfigurationError) as caught:
        load(path, environ=environ or {})
    return str(caught.value.message).replace(f"{folder}/", "")


BAD: dict[str, tuple[str | bytes, str]] = {
    "unknown key": ("api:\n  ur: https://x\n", 'maestro.yaml:2: api.ur: unknown key; did you mean "url"?'),
    "unknown section": ("servce: {}\n", 'maestro.yaml:1: servce: unknown key; did you mean "service"?'),
    "wrong environment": (
        "service:\n  environment: prod\n",
        "maestro.yaml:2: service.environment: must be development or staging or production",
    ),
    "section as text": ("api: https://x\n", "maestro.yaml:1: api: expected a mapping of keys, got a single value"),
    "section as list": ("database:\n  - url: x\n", "maestro.yaml:2: database: expected a mapping of keys, got a list"),
    "list as text": ("plugins: checks\n", "maestro.yaml:1: plugins: expected a list, got a single value"),
    "number as text": ("run:\n  deadline_s: soon\n", "maestro.yaml:2: run.deadline_s: expected a number, got a text"),
    "number out of range": (
        "readiness:\n  gates:\n    staging: {min_score: 120}\n",
        "maestro.yaml:3: readiness.gates.staging.min_score: is 120; must be from 0 to 100",
    ),
    "whole number": ("certs:\n  days: 1.5\n", "maestro.yaml:2: certs.days: expected a whole number, got a number"),
    "infinite": ("run: {total_s: .inf}\n", "maestro.yaml:1: run.total_s: must be a finite number"),
    "bare no": (
        "service:\n  name: no\n",
        "maestro.yaml:2: service.name: YAML reads this as true or false; put it in quotes",
    ),
    "required key": (
        "waivers:\n  - {check: security.cors, reason: x, expires: 2027-01-01}\n",
        "maestro.yaml:2: waivers[0].owner: is required",
    ),
    "unparseable date": (
        "waivers:\n  - {check: a, reason: x, owner: o, environments: [staging], expires: soon}\n",
        "maestro.yaml:2: waivers[0].expires: expected a date, YYYY-MM-DD",
    ),
    "empty owner": (
        "waivers:\n  - {check: a, reason: x, owner: ' ', environments: [staging], expires: 2027-01-01}\n",
        "maestro.yaml:2: waivers[0].owner: must not be empty",
    ),
    "nowhere": (
        "waivers:\n  - {check: a, reason: x, owner: o, expires: 2027-01-01}\n",
        "maestro.yaml:2: waivers[0].environments: is required",
    ),
    "in no environment": (
        "waivers:\n  - {check: a, reason: x, owner: o, environments: [], expires: '2027-01-01'}\n",
        "maestro.yaml:2: waivers[0].environments: must name at least one environment",
    ),
    "unset variable": (
        "redis:\n  url: ${REDIS_UL}\n",
        "maestro.yaml:2: redis.url: ${REDIS_UL} is not set in the environment",
    ),
    "broken reference": (
        "redis:\n  url: '${REDIS'\n",
        "maestro.yaml:2: redis.url: `${` starts a reference that is not",
    ),
    "duplicate key": (
        "api:\n  url: https://a\n  url: https://b\n",
        "maestro.yaml:3: url: written twice; first in line 2",
    ),
    "tab": ("api:\n\turl: https://a\n", "maestro.yaml:2: a tab stands where YAML wants spaces"),
    "unclosed": ("api: {url: [1, 2\n", "not valid YAML"),
    "two documents": ("version: 1\n---\nversion: 1\n", "maestro.yaml:2: holds a second document"),
    "tag": ("service: !!python/object:os.system {}\n", "maestro.yaml:1: uses a YAML tag"),
    "unknown alias": ("service: *nobody\n", "maestro.yaml:1: *nobody refers to an anchor"),
    "merge key": ("a: &a {x: 1}\nservice:\n  <<: *a\n", "maestro.yaml:3: <<: merge keys are not supported"),
    "binary": (b"\x00\x01\x02\xff", "maestro.yaml:1: is not UTF-8 text"),
    "control character": (
        b"version: 1\nservice: {name: a\x07b}\n",
        "maestro.yaml:2: holds a control character (U+0007)",
    ),
    "list at the top": ("- a\n- b\n", "maestro.yaml:1: expected a mapping of keys, got a list"),
    "key that is a list": ("? [a, b]\n: 1\n", "maestro.yaml:1: a key must be a name"),
    "missing env_file": (
        "env_file: .env\n",
        "maestro.yaml:1: env_file: .env does not exist; make it with: maestro secrets generate",
    ),
    "not http": ("api: {url: 'localhost:8443'}\n", "maestro.yaml:1: api.url: must start with https:// or http://"),
    "unknown gate": (
        "readiness:\n  gates:\n    prod: {min_score: 1}\n",
        "maestro.yaml:3: readiness.gates.prod: must be one of",
    ),
    "version": ("version: 2\n", "maestro.yaml:1: version: must be 1"),
    "deep": ("a: " + "[" * 100 + "]" * 100 + "\n", "is nested more than 64 deep"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_configuration_is_refused_with_file_line_and_key(case: str, tmp_path: Path) -> None:
    content, expected = BAD[case]
    assert expected in problems(tmp_path, content)


@pytest.mark.parametrize("case", BAD)
def test_the_program_says_it_without_a_traceback_and_exits_2(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, BAD[case][0])
    code = run(["readiness", "--json"])
    out, err = capfd.readouterr()
    assert (code, out) == (2, "")
    assert "maestro.yaml" in err
    assert "Traceback" not in err


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    message = problems(tmp_path, "version: 3\nap: {}\nredis:\n  url: ${A}\n  blacklist_prefix: 3\nrun: {total_s: x}\n")
    assert message.startswith("maestro.yaml has 5 problems; nothing was run\n")
    for expected in (":1: version", ":2: ap", ":4: redis.url", ":5: redis.blacklist_prefix", ":6: run.total_s"):
        assert expected in message


def test_an_alias_bomb_costs_nothing(tmp_path: Path) -> None:
    rows = ["a: &a [x,x,x,x,x,x,x,x,x,x]"] + [
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 10)}]" for i in range(9)
    ]
    assert "expands to more than 20,000 values" in problems(tmp_path, "\n".join(rows))


def test_a_hundred_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "maestro.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    with pytest.raises(ConfigurationError, match="is 100 MB; a configuration file holds at most 1,000,000 bytes"):
        load(path, environ={})


def test_a_folder_a_pipe_and_nothing_at_all_in_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("folder", "is a directory"), ("pipe", "is not a regular file"), ("none", "does not exist")):
        with pytest.raises(ConfigurationError, match=reason):
            load(tmp_path / name, environ={})


def test_the_example_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path, "\n".join(f"{name}={value}" for name, value in VARIABLES.items()), ".env")
    loaded = load(write(tmp_path, EXAMPLE.read_bytes()), environ={})
    settings = loaded.settings
    assert settings.api is not None
    assert settings.api.auth is not None
    assert settings.api.auth.secret == Secret("canary-jwt-4711")
    assert settings.tenancy is not None
    assert sum(len(table.indexes) for table in settings.tenancy.tables.values()) == 15
    assert loaded.where("api.rate_limit") == f"{tmp_path}/maestro.yaml:{loaded.lines['api.rate_limit']}"
    assert "rate_limit" in EXAMPLE.read_text().splitlines()[loaded.lines["api.rate_limit"] - 1]
    assert {value for name, value in VARIABLES.items()} <= loaded.secrets
    assert pickle.loads(pickle.dumps(loaded)).settings == settings  # noqa: S301 - our own bytes


def test_the_environment_wins_over_env_file_and_a_default_fills_in(tmp_path: Path) -> None:
    write(tmp_path, "NAME=from-file\nLIMIT=70\n", ".env")
    limit = 'api:\n  rate_limit: {requests: "${LIMIT}", window_seconds: "${WINDOW:-30}"}\n'
    path = write(tmp_path, "env_file: .env\nservice:\n  name: ${NAME}\n" + limit)
    settings = load(path, environ={"NAME": "from-environment"}).settings
    assert settings.service.name == "from-environment"
    assert settings.api is not None
    assert settings.api.rate_limit is not None
    assert (settings.api.rate_limit.requests, settings.api.rate_limit.window_seconds) == (70, 30)
    assert load(path, environ={}).settings.service.name == "from-file"


def test_an_unquoted_reference_inside_braces_says_what_to_write(tmp_path: Path) -> None:
    assert 'write references in quotes, "${NAME}"' in problems(tmp_path, "service: {name: ${NAME}}\n", {"NAME": "x"})


def test_a_doubled_dollar_is_a_plain_one(tmp_path: Path) -> None:
    assert load(write(tmp_path, "service: {name: 'a$${B}'}\n"), environ={}).settings.service.name == "a${B}"


def test_a_similar_variable_is_suggested_without_its_value(tmp_path: Path) -> None:
    write(tmp_path, "JWT_SECRET_KEY=canary-4711\n", ".env")
    message = problems(tmp_path, "env_file: .env\napi: {auth: {secret: '${JWT_SECRT_KEY}'}}\n")
    assert "did you mean JWT_SECRET_KEY?" in message
    assert "canary" not in message


def test_empty_file_and_empty_sections_give_the_defaults(tmp_path: Path) -> None:
    for content in ("", "# nothing\n", "~\n", "{}\n"):
        assert load(write(tmp_path, content), environ={}).settings == Settings()
    loaded = load(write(tmp_path, "certs:\n"), environ={})
    assert loaded.settings.certs is not None
    assert loaded.settings.certs.directory == "certs"


def test_environment_option_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "service: {environment: staging}\n")
    assert load(path, environ={}, environment="production").settings.service.environment == "production"
    assert set(DEFAULT_GATES) == {"development", "staging", "production"}


def test_unset_variables_may_be_empty_for_the_commands_that_make_them(tmp_path: Path) -> None:
    path = write(tmp_path, "env_file: .env\nredis: {url: '${REDIS_URL}'}\n")
    settings = load(path, environ={}, require_variables=False).settings
    assert settings.redis is not None
    assert not settings.redis.url


@pytest.mark.parametrize("flags", [[], ["--verbose"], ["--traceback"]])
def test_no_secret_in_what_config_show_prints(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    write(tmp_path, EXAMPLE.read_text().replace("env_file", "# env_file"))
    assert run(["config", "show", *flags]) == 0
    assert run(["config", "show", "--json", *flags]) == 0
    out, err = capfd.readouterr()
    assert "4711" not in out + err
    assert "********" in out


@pytest.mark.parametrize(
    "place",
    [
        "api: {auth: {secret: [%s]}}",
        "database: {url: {a: %s}}",
        "redis: {url: 5, x: %s}",
        "databse: {url: %s}",
        "api: {auth: {accounts: [{username: a, password: 12, pasword: %s}]}}",
        "%s",
        "service: {environment: %s}",
        "api: {url: 'ftp://u:%s@h'}",
    ],
)
def test_no_secret_in_what_is_said_of_a_mistake(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, place % "canary-4711")
    assert run(["readiness", "--traceback", "--verbose"]) == 2
    out, err = capfd.readouterr()
    assert "canary" not in out + err


def test_the_schema_accepts_the_example_and_refuses_what_the_loader_refuses() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    example = json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text()), default=str))
    assert list(validator.iter_errors(example)) == []
    for case in (
        "unknown key",
        "wrong environment",
        "section as text",
        "list as text",
        "number as text",
        "required key",
    ):
        value = json.loads(json.dumps(yaml.safe_load(str(BAD[case][0])), default=str))
        assert list(validator.iter_errors(value)), case


def test_every_key_has_a_line_of_text() -> None:
    lines = text().splitlines()
    assert all(" - " in line and line.split(" - ")[1] for line in lines)
    assert any(line.startswith("tenancy.tables.NAME.indexes[]") for line in lines)


def test_an_address_left_open_is_not_configured_and_one_set_to_nothing_is_a_mistake(tmp_path: Path) -> None:
    """A pipeline hands over a secret that does not exist as an empty variable: that must not skip twenty checks."""
    path = tmp_path / "maestro.yaml"
    text = "database: {url: '${A:-}'}\nredis: {url: ''}\napi: {url: '${B:-}', ca_file: '${C:-}'}\n"
    for environ in ({}, {"A": "", "B": ""}):
        settings = load(path, environ=environ, text=text).settings
        assert settings.database is not None
        assert settings.redis is not None
        assert settings.api is not None
        assert (settings.database.url, settings.redis.url, settings.api.url, settings.api.ca_file) == (None,) * 4
    with pytest.raises(
        ConfigurationError, match=r"maestro.yaml:2: database.url: is empty: A is set to nothing; \$\{A:-\}"
    ):
        load(path, environ={"A": ""}, text="version: 1\ndatabase: {url: '${A}'}\n")
