"""`maestro init` from the outside: what it finds, what it writes, and that each template passes its own tool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from maestro_cli.config import load
from maestro_cli.config.schema import json_schema
from maestro_cli.initialise.configuration import application, configuration
from maestro_cli.initialise.extras import EXTRAS, Words, extra_files
from maestro_cli.initialise.files import detect
from maestro_cli.initialise.findings import Project, Seen
from maestro_cli.initialise.page import plain

WORDS = Words('Shop & Söhne: "it"', "production", "/srv/shop", "/usr/bin/maestro")


def maestro(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def shop(project: Path) -> Path:
    """An ordinary project: src layout, compose file, Dockerfile, .env, tests that must not be mistaken for the app."""
    files = {
        "pyproject.toml": '[project]\nname = "shop-api"\n',
        "src/shop/main.py": "from fastapi import FastAPI\napp: FastAPI = FastAPI()\n@app.get('/healthz')\ndef h(): ...\n"
        "@app.post('/v1/login')\ndef login(): ...\n",
        "src/shop/settings.py": "from pydantic_settings import BaseSettings\nclass Settings(BaseSettings):\n    x: int = 1\n",
        "tests/test_app.py": "from fastapi import FastAPI\nwrong = FastAPI()\n",
        "venv/pyvenv.cfg": "",
        "venv/lib/other.py": "from fastapi import FastAPI\nwrong = FastAPI()\n",
        "broken.py": "FastAPI(((\n",
        "Dockerfile": "FROM python\nEXPOSE 9000\n",
        "docker-compose.yml": "services:\n  db: {image: postgres, ports: ['15432:5432']}\n  api: {ports: ['8080:9000']}\n",
        "alembic.ini": "[alembic]\nscript_location = migrations\n",
        "README.md": "# Shop\n",
        ".github/workflows/ci.yml": "on: push\n",
        ".env": "DATABASE_URL=postgresql://shop:planted-password@localhost/shop\nJWT_SECRET_KEY=planted-secret-value\n"
        "ACCESS_TOKEN_EXPIRE_MINUTES=15\n",
        "reports/junit.xml": "<testsuites/>",
        "checks/mine.py": "from maestro_cli.api import check\n@check('health.mine')\ndef mine(ctx): ...\n",
    }
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def test_what_is_found(shop: Path) -> None:
    found = detect(shop)
    seen = application(found)
    assert seen == Seen("shop.main:app", "src/shop/main.py:2")
    assert found.name.value == "shop-api"
    assert [row.value for row in found.python.settings] == ["shop.settings:Settings"]
    assert found.port == Seen("8080", "docker-compose.yml")
    assert [row.value for row in found.python.health_paths] == ["/healthz"]
    assert (found.alembic_ini, found.compose_files, found.dockerfile) == (
        "alembic.ini",
        ("docker-compose.yml",),
        "Dockerfile",
    )
    assert found.env_names == ("DATABASE_URL", "JWT_SECRET_KEY", "ACCESS_TOKEN_EXPIRE_MINUTES")
    assert (found.pipelines, found.evidence) == ((".github/workflows/*.yml",), {"junit": ("reports/junit.xml",)})
    assert found.python.plugins == ("checks",)
    assert "planted" not in repr(found)


def test_the_file_can_be_read_and_run_at_once_and_holds_no_secret(shop: Path) -> None:
    done = maestro(shop, "init")
    assert (done.returncode, done.stdout) == (0, "wrote maestro.yaml\n"), done.stderr
    assert "planted" not in done.stderr
    text = (shop / "maestro.yaml").read_text()
    assert "planted" not in text
    settings = load(shop / "maestro.yaml", environ={}).settings
    assert settings.api is not None
    assert (settings.service.name, settings.api.app, settings.api.url) == (
        "shop-api",
        "shop.main:app",
        "http://localhost:8080",
    )
    assert settings.secrets is not None
    assert dict(settings.secrets.required) == {"JWT_SECRET_KEY": 256}
    assert settings.database is not None
    assert settings.database.url is not None
    assert settings.plugins == ("./checks",)
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))
    run = maestro(shop, "validate", "readiness", "--json")
    assert run.returncode == 1, run.stderr
    assert "planted" not in run.stdout + run.stderr


def test_an_empty_folder_and_everything_commented_in(project: Path) -> None:
    assert maestro(project, "init").returncode == 0
    text = (project / "maestro.yaml").read_text()
    load(project / "maestro.yaml", environ={})
    assert maestro(project, "validate").returncode == 3
    # Each example that stands as a comment is right as well: switch all of them on.
    begin = text.index("version:")
    uncommented = re.sub(r"^( *)# ( *)(?=[a-z_]+:|- )", r"\1\2", text[begin:], flags=re.MULTILINE)
    assert uncommented.count("\n# ") < 6
    (project / "maestro.yaml").write_text(uncommented)
    (project / ".env").write_text("DATABASE_URL=postgresql://x@y/z\nREDIS_URL=redis://x\n")
    (project / "checks").mkdir()
    settings = load(project / "maestro.yaml", environ={}).settings
    assert settings.database is not None
    assert settings.tenancy is not None
    assert settings.waivers
    assert settings.checks
    assert settings.api is not None
    assert settings.readiness.gates


@pytest.mark.parametrize("name", ["yes", "a: b", 'quo"te', "${X}", "- x", "#1", "ends:", "naïve", "1.5", ""])
def test_odd_names_survive(name: str, tmp_path: Path) -> None:
    path = tmp_path / "maestro.yaml"
    path.write_text(configuration(Project(name=Seen(name, f"a {name} folder\n\x07"))))
    assert load(path, environ={}).settings.service.name
    path.write_text(f"service: {{name: {plain(name)}}}\nplugins: {plain([name, 'x'])}\n")
    settings = load(path, environ={}).settings
    assert (settings.service.name, settings.plugins) == (name, (name, "x"))


def test_nothing_is_overwritten_without_force(shop: Path) -> None:
    (shop / "maestro.yaml").write_text("mine")
    (shop / "compose.yaml").write_text("mine too")
    for words in (("init",), ("init", "--with", "compose,env")):
        done = maestro(shop, *words)
        assert done.returncode == 1
        assert "exists already; nothing was written" in done.stderr
    assert not (shop / ".env.example").exists()
    assert (shop / "maestro.yaml").read_text() == "mine"
    assert maestro(shop, "init", "--with", "env").stdout == "wrote .env.example\n"
    forced = maestro(shop, "init", "--force")
    assert forced.returncode == 0
    (kept,) = shop.glob("maestro.yaml.*.bak")
    assert f"kept the old maestro.yaml as {kept.name}" in forced.stderr
    assert kept.read_text() == "mine"
    wrong = maestro(shop, "init", "--with", "ci-githubb")
    assert wrong.returncode == 2
    assert "did you mean ci-github?" in wrong.stderr


def test_servers_of_a_compose_file_are_proposed_where_they_are_published(project: Path) -> None:
    (project / "compose.yml").write_text(
        "services:\n"
        "  db: {image: 'postgis/postgis:16', ports: ['127.0.0.1:${PG:-5433}:5432'],"
        " environment: {POSTGRES_USER: '${U:-shop}', POSTGRES_PASSWORD: hunter2, POSTGRES_DB: orders}}\n"
        "  cache: {image: 'valkey/valkey:8', ports: [{published: 6380, target: 6379}]}\n"
        "  hidden: {image: 'redis:8'}\n"
    )
    text = configuration(detect(project))
    assert "# url: postgresql://shop:${POSTGRES_PASSWORD}@localhost:5433/orders" in text
    assert "# url: redis://localhost:6380/0" in text
    assert "db of compose.yml" in text
    assert "hunter2" not in text
    load(project / "maestro.yaml", environ={}, text=text)
    (project / "compose.yml").write_text(
        "services: {db: {image: postgres, ports: ['5432'], environment: [A=1]}, x: 3}\n"
    )
    assert detect(project).servers == {}


def test_a_module_that_cannot_be_named_is_no_application(project: Path) -> None:
    (project / "my app").mkdir()
    (project / "my app" / "main.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
    assert detect(project).python.apps == ()


def test_a_fresh_configuration_crashes_no_check(shop: Path) -> None:
    (shop / ".env").unlink()
    assert maestro(shop, "init").returncode == 0
    report = json.loads(maestro(shop, "readiness", "--json").stdout)
    assert [row["message"] for row in report["checks"] if "crashed" in row["message"]] == []


def test_a_dry_run_writes_nothing(project: Path) -> None:
    done = maestro(project, "init", "--dry-run", "--with", ",".join(EXTRAS))
    assert done.returncode == 0, done.stderr
    assert "would write .github/workflows/maestro.yml" in done.stderr
    assert "# ==> .github/workflows/maestro.yml <==\n# Judges every push" in done.stdout
    assert list(project.iterdir()) == []


def written(name: str) -> dict[str, str]:
    files = dict(extra_files(name, WORDS))
    assert files
    for path, text in files.items():
        assert "__" not in text or name == "service", (path, text)
    return files


@pytest.mark.parametrize(
    ("name", "schema"), [("ci-github", "github-workflows"), ("ci-gitlab", "gitlab-ci"), ("compose", "compose-spec")]
)
def test_templates_fit_their_published_schemas(name: str, schema: str) -> None:
    package = pytest.importorskip("check_jsonschema.builtin_schemas.vendor", reason="pip install check-jsonschema")
    document = json.loads((Path(package.__file__).parent / f"{schema}.json").read_text())
    (text,) = written(name).values()
    data = {"true" if key is True else key: value for key, value in yaml.safe_load(text).items()}
    if "true" in data:  # YAML 1.1 reads the key `on` as a truth value
        data["on"] = data.pop("true")
    jsonschema.validators.validator_for(document)(document).validate(data)


def test_the_compose_services_have_passwords_and_health_checks() -> None:
    (text,) = written("compose").values()
    services = yaml.safe_load(text)["services"]
    for name, variable in (("postgres", "POSTGRES_PASSWORD"), ("redis", "REDIS_PASSWORD")):
        assert services[name]["environment"][variable].startswith(f"${{{variable}:?")
        assert services[name]["healthcheck"]["test"]
        assert all(port.startswith("127.0.0.1:") for port in services[name]["ports"])
    assert "requirepass" not in json.dumps([services["redis"]["command"][:2]])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool: apt-get install prometheus")
def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    (text,) = written("prometheus").values()
    (tmp_path / "rules.yml").write_text(text)
    done = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 rules found" in done.stdout


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_rules_and_dashboard_use_metrics_that_are_written(name: str) -> None:
    from report_samples import not_ready

    from maestro_cli.formats import render

    exposed = set(re.findall(r"^(maestro_\w+)", render("prometheus", not_ready()), re.MULTILINE))
    (text,) = written(name).values()
    used = set(re.findall(r"\bmaestro_\w+", text))
    assert used
    assert used <= exposed


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    program = tmp_path / "maestro"
    program.touch(mode=0o755)
    words = Words("shop", "production", str(tmp_path), str(program))
    paths = []
    for name, text in extra_files("systemd", words).items():
        path = tmp_path / Path(name).name
        path.write_text(text)
        paths.append(str(path))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if "maestro." in line]
    assert ours == []


def test_the_cron_job_is_a_locked_down_pod() -> None:
    (text,) = written("k8s-cronjob").values()
    job = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    pod: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert job["metadata"]["name"] == "shop-s-hne-it-maestro"


def test_the_hooks_are_commands_that_exist(project: Path) -> None:
    (text,) = written("pre-commit").values()
    for hook in yaml.safe_load(text)["repos"][0]["hooks"]:
        words = hook["entry"].split()
        assert words[0] == "maestro"
        (project / "maestro.yaml").write_text("version: 1\n")
        assert maestro(project, *words[1:]).returncode in (0, 3), hook


def test_the_reference_service_is_written_whole(project: Path) -> None:
    done = maestro(project, "init", "--with", "service")
    assert done.returncode == 0, done.stderr
    assert (project / "service" / "main.py").exists()
    assert "app: service.main:app" in (project / "maestro.yaml").read_text()


def test_what_env_writes_is_what_secrets_generate_reads(project: Path) -> None:
    maestro(project, "init", "--with", "env,compose")
    done = maestro(project, "secrets", "generate")
    assert done.returncode == 0, done.stderr
    values = dict(line.split("=", 1) for line in (project / ".env").read_text().splitlines() if "=" in line)
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert values[name]
        assert not values[name].startswith("<")
