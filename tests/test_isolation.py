"""Other people's checks: each way to misbehave costs the one check that does it, and leaves nothing running."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from maestro_cli.api import Context, Status
from maestro_cli.config import load, without_file
from maestro_cli.discovery import discover
from maestro_cli.errors import MaestroError
from maestro_cli.isolation.entry_points import EntryPoint, installed_entry_points
from maestro_cli.isolation.host import PluginHost
from maestro_cli.isolation.loading import Source

HEAD = """
import ctypes, os, subprocess, sys, threading, time
from maestro_cli.api import *
"""
GOOD = '''
@check("health.good", component="infrastructure", priority="low", faults=("planted",))
def good(ctx):
    """The neighbour holds.

    Why: it must not suffer. Fails when: it does. Fix: isolate. Source: here.
    """
    print("noise" * 1000)
    return passed("fine", Evidence("directory", os.getcwd()))
'''


def one_check(name: str, body: str) -> str:
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return (
        f'\n@check("health.{name}", component="infrastructure", priority="low")\n'
        f'def {name.replace("-", "_")}(ctx):\n    """It misbehaves."""\n{lines}\n'
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "good.py").write_text(HEAD + GOOD)
    (tmp_path / "maestro.yaml").write_text("plugins: [./checks]\nrun: {deadline_s: 1.5, plugin_memory_mb: 512}\n")
    return tmp_path


def validate(project: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "maestro_cli", "validate", "--json", "--only", "health.*", *options],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    rows = json.loads(done.stdout)["checks"] if done.stdout else []
    return done, {row["id"]: row for row in rows}


MISBEHAVIOURS = {
    "raises": ("raise ValueError('boo')", "the check crashed: ValueError: boo"),
    "exits": ("sys.exit(0)", "the check called sys.exit"),
    "leaves": ("os._exit(0)", "ended its process instead of reporting (exit code 0)"),
    "segfaults": ("ctypes.string_at(0)", "ended its process instead of reporting (SIGSEGV)"),
    "is-killed": ("os.kill(os.getpid(), 9)", "ended its process instead of reporting (SIGKILL)"),
    "hangs": ("while True: time.sleep(60)", "timed out after 1.5 s"),
    "spins": ("while True: pass", "timed out after 1.5 s"),
    "floods": ("while True:\n    os.write(1, b'x' * 65536); sys.stderr.write('y' * 65536)", "timed out after 1.5 s"),
    "eats-memory": ("return failed(str(len(bytearray(2 * 1024**3))))", "ran out of memory: its process may use 512 MB"),
    "recurses": ("return eval('(lambda f: f(f))(lambda f: f(f))')", "the check crashed: RecursionError"),
    "returns-nothing": ("return None", "a check returns a Finding, or several, not NoneType"),
    "proves-nothing": ("return passed('fine')", "a pass needs evidence"),
    "reads-input": ("input()", "the check crashed: EOFError"),
    "closes-everything": ("os.closerange(0, 4096)\nreturn failed('x')", "ended its process"),
    "writes-into-the-pipe": (
        "for fd in range(3, 64):\n    try: os.write(fd, b'\\xff' * 64)\n    except OSError: pass\nreturn failed('x')",
        "answered with something else than a finding",
    ),
    "unprintable": (
        "class Nasty(Exception):\n    def __str__(self): raise RuntimeError\nraise Nasty",
        "the check crashed: Nasty",
    ),
}


def test_each_misbehaviour_costs_only_its_own_check(project: Path) -> None:
    source = HEAD + "".join(one_check(name, body) for name, (body, _) in MISBEHAVIOURS.items())
    (project / "checks" / "bad.py").write_text(source)
    done, rows = validate(project)
    assert done.returncode == 1, done.stderr
    for name, (_, words) in MISBEHAVIOURS.items():
        row = rows[f"health.{name}"]
        assert row["status"] == "error", row
        assert words in row["message"], row
    assert rows["health.good"]["status"] == "pass"
    assert "noise" not in done.stdout + done.stderr


def test_a_check_that_forks_or_signals_its_parent_answers_for_itself_alone(project: Path) -> None:
    """A second process that comes out of a check would answer the next check's question with the last one's finding."""
    bodies = {}
    for number in range(12):
        does = ("os.fork()", "os.kill(os.getppid(), 15)", "os.fork() or time.sleep(0.2)", "pass")[number % 4]
        bodies[f"n{number}"] = f"{does}\nreturn failed('this is n{number}')"
    bodies["raises-twice"] = "os.fork()\nraise ValueError('twice')"
    source = HEAD + "".join(one_check(name, body) for name, body in bodies.items())
    (project / "checks" / "forks.py").write_text(source)
    _, rows = validate(project)
    for number in range(12):
        assert rows[f"health.n{number}"]["message"] == f"this is n{number}"
    assert rows["health.raises-twice"]["message"] == "the check crashed: ValueError: twice"
    assert rows["health.good"]["status"] == "pass"


def test_a_long_finding_is_cut_and_a_check_runs_in_the_projects_folder(project: Path) -> None:
    (project / "checks" / "long.py").write_text(HEAD + one_check("long", "return failed('z' * 50_000_000)"))
    _, rows = validate(project)
    assert rows["health.long"]["status"] == "fail"
    assert len(rows["health.long"]["message"]) == 2_000
    assert rows["health.good"]["evidence"][0]["observed"] == str(project)
    assert rows["health.good"]["plugin"] == "./checks"


def test_one_check_leaves_no_trace_for_the_next(project: Path) -> None:
    (project / "maestro.yaml").write_text("plugins: [./checks]\nrun: {concurrency: 1}\n")
    body = "os.chdir('/'); os.environ['PLANTED'] = '1'\nreturn failed('x')"
    after = "return failed(os.getcwd() + ' ' + os.environ.get('PLANTED', 'unset'))"
    (project / "checks" / "a.py").write_text(HEAD + one_check("a-first", body) + one_check("b-second", after))
    _, rows = validate(project)
    assert rows["health.b-second"]["message"] == f"{project} unset"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import os; os._exit(5)", "ended its process while loading (exit code 5)"),
        ("import ctypes; ctypes.string_at(0)", "ended its process while loading (SIGSEGV)"),
        ("while True: pass", "did not finish loading within 5 s"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("x = bytearray(2 * 1024**3)", "MemoryError"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_module_that_cannot_be_loaded_costs_only_itself(project: Path, text: str, words: str) -> None:
    (project / "checks" / "broken.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "maestro_cli", "validate", "--json", "--only", "*good", "--only", "*plugin*"],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    rows = {row["id"]: row for row in json.loads(done.stdout)["checks"]}
    assert rows["health.good"]["status"] == "pass"
    assert rows["readiness.plugin-checks-broken-py"]["status"] == "error"
    assert words in rows["readiness.plugin-checks-broken-py"]["message"]
    assert done.returncode == 1


def test_no_plugins_starts_none(project: Path) -> None:
    (project / "checks" / "tell.py").write_text(f"open({str(project / 'ran')!r}, 'w').close()")
    subprocess.run(
        [sys.executable, "-m", "maestro_cli", "validate", "--json", "--no-plugins"],
        cwd=project,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert not (project / "ran").exists()
    validate(project)
    assert (project / "ran").exists()


def test_tests_and_private_modules_beside_the_checks_are_not_loaded(project: Path) -> None:
    for name in ("test_good.py", "_shared.py", "conftest.py", "good_test.py"):
        (project / "checks" / name).write_text("raise RuntimeError('loaded')")
    _, rows = validate(project)
    assert rows["health.good"]["status"] == "pass"
    assert set(rows) >= {"health.good"}
    assert not [name for name in rows if "plugin" in name]


def _alive(marker: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (folder / "environ").read_text(errors="replace") and "Z" not in _state(folder):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def _state(folder: Path) -> str:
    return (folder / "stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_maestro_however_it_ends(project: Path, number: int) -> None:
    (project / "maestro.yaml").write_text("plugins: [./checks]\nrun: {deadline_s: 60}\n")
    ready = project / "ready"
    body = f"subprocess.Popen(['sleep', '300']); open({str(ready)!r}, 'w').close(); time.sleep(300)"
    (project / "checks" / "slow.py").write_text(HEAD + one_check("slow", body))
    marker = f"MAESTRO_TEST_MARKER={project}"
    process = subprocess.Popen(
        [sys.executable, "-m", "maestro_cli", "validate", "--json"],
        cwd=project,
        env={**os.environ, "MAESTRO_TEST_MARKER": str(project)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _wait_until(ready.exists)
    assert len(_alive(marker)) >= 4  # maestro, the plugin's process, its worker, the check's own child
    process.send_signal(number)
    process.wait(timeout=20)
    _wait_until(lambda: not _alive(marker))


def _wait_until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "did not happen within 20 s"
        time.sleep(0.02)


def test_a_host_works_from_a_program_with_threads_and_after_pickling(project: Path) -> None:
    """Where forking would be unsafe a fresh interpreter is started; an executor elsewhere starts its own."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    catalogue = discover(load(project / "maestro.yaml", environ={}))
    try:
        check = catalogue.checks["health.good"]
        assert (check.faults, check.trusted, check.plugin) == (("planted",), False, "./checks")
        assert check.documentation.fix == "isolate."
        ctx = Context(without_file(project))
        assert check(ctx).status is Status.PASS
        copy = pickle.loads(pickle.dumps(check))  # noqa: S301 - our own bytes
        assert copy(ctx).status is Status.PASS
        copy.run.host.close()
    finally:
        catalogue.close()
        stop.set()
        thread.join()


def test_a_plugin_whose_process_was_killed_is_started_again(project: Path) -> None:
    host = PluginHost(Source("p", "folder", str(project / "checks")), str(project))
    try:
        (check,) = host.load()
        assert host._server is not None
        os.kill(host._server.pid, signal.SIGKILL)
        assert check(Context(without_file(project))).status is Status.PASS
    finally:
        host.close()


def test_a_plugins_fix_is_planned_and_applied_in_its_process(project: Path) -> None:
    from maestro_cli.api import FixContext

    (project / "checks" / "fixable.py").write_text(
        HEAD
        + """
def plan(ctx): return [f"write {ctx.path('done')}"]
def apply(ctx):
    ctx.path("done").write_text(str(os.getpid()))
    return "rm done"
@check("health.fixable", component="infrastructure", priority="low", fix=Fix("writes a file", plan, apply))
def fixable(ctx):
    \"\"\"It can be mended.\"\"\"
    return failed("not yet")
@check("health.unfixable", component="infrastructure", priority="low",
       fix=Fix("breaks", plan, lambda ctx: os._exit(1)))
def unfixable(ctx):
    \"\"\"It cannot.\"\"\"
    return failed("no")
"""
    )
    loaded = load(project / "maestro.yaml", environ={})
    catalogue = discover(loaded)
    try:
        ctx = FixContext(loaded, Context(loaded).now, {})
        fix = catalogue.checks["health.fixable"].fix
        assert fix is not None
        assert (fix.summary, fix.plan(ctx)) == ("writes a file", [f"write {project / 'done'}"])
        assert fix.apply(ctx) == "rm done"
        assert int((project / "done").read_text()) != os.getpid()
        broken = catalogue.checks["health.unfixable"].fix
        assert broken is not None
        with pytest.raises(MaestroError, match="ended its process"):
            broken.apply(ctx)
    finally:
        catalogue.close()


def test_entry_points_are_read_from_every_distribution(tmp_path: Path) -> None:
    for name, text in {
        "one-1.0.dist-info": "[console_scripts]\nx = y:z\n\n[maestro.checks]\nacme = acme_checks\nother=pkg.mod : attr [extra]\n",
        "two.egg-info": "[maestro.checks]\n# a comment = no\nacme = acme_checks\n[maestro.checks.more]\nnot = this\n",
        "three-1.dist-info": "[console_scripts]\nmaestro.checks = no:no\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "entry_points.txt").write_text(text)
    (tmp_path / "four.dist-info").mkdir()
    found = installed_entry_points("maestro.checks", [str(tmp_path), str(tmp_path / "missing")])
    assert found == [EntryPoint("acme", "acme_checks"), EntryPoint("other", "pkg.mod")]
    assert EntryPoint("builtin", "maestro_cli.checks") in installed_entry_points("maestro.checks")


def test_an_installed_plugin_is_found_and_runs_apart(project: Path) -> None:
    site = project / "site"
    package = site / "acme_checks"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "disk.py").write_text(HEAD + one_check("acme-disk", "return failed(str(os.getpid()))"))
    (package / "bad.py").write_text("import os; os._exit(1)")
    (site / "acme-1.0.dist-info").mkdir()
    (site / "acme-1.0.dist-info" / "entry_points.txt").write_text("[maestro.checks]\nacme = acme_checks\n")
    done = subprocess.run(
        [sys.executable, "-m", "maestro_cli", "validate", "--json", "--only", "*acme*"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    rows = {row["id"]: row for row in json.loads(done.stdout)["checks"]}
    assert rows["health.acme-disk"]["plugin"] == "acme"
    assert rows["health.acme-disk"]["status"] == "fail"
    assert "exit code 1" in rows["readiness.plugin-acme-acme-checks-bad"]["message"]


def test_what_a_check_makes_in_the_service_is_taken_away_in_its_process(project: Path) -> None:
    made = project / "made"
    body = f"""made = {str(made)!r}
open(made, 'w').close()
ctx.cleanup.add('the planted object', lambda: os.remove(made))
"""
    stays = "def undo(): raise RuntimeError('refused')\nctx.cleanup.add('another object', undo)\nreturn failed('x')"
    session = "return failed(str(ctx.shared('session', lambda: os.getpid())))"
    (project / "checks" / "probe.py").write_text(
        HEAD
        + one_check("a-raises", body + "raise ValueError('boo')")
        + one_check("b-probes", body + session)
        + one_check("c-stays", stays)
    )
    done, rows = validate(project)
    assert "boo" in rows["health.a-raises"]["message"]
    assert rows["health.b-probes"]["status"] == "fail"
    assert not made.exists()
    assert "left behind by a probe: another object: refused" in json.loads(done.stdout)["notes"]
