"""The reference service with faults that are switched while it runs, and the checks run against it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from passlib.hash import bcrypt
from reference_platform import ACCOUNTS, ReferencePlatform

from maestro_cli.api import Check, Context
from maestro_cli.config import Loaded, load
from maestro_cli.demo.processes import free_port
from maestro_cli.demo.service import _answers, _package_folders
from maestro_cli.model import Component, Report
from maestro_cli.redaction import Redactor
from maestro_cli.runner import Plan, run
from maestro_cli.scoring import GateRule

SCRIPT = Path(__file__).parent / "services" / "switchable_reference.py"
ROUNDS = 9


def patient(loaded: Loaded) -> Loaded:
    """The same without budgets of latency: what is slow here is the machine that runs the tests."""
    settings = loaded.settings
    slow = {
        name: replace(getattr(settings, name), max_latency_ms=60_000.0)
        for name in ("api", "database", "redis")
        if getattr(settings, name) is not None
    }
    return replace(loaded, settings=replace(settings, **slow))


@dataclass
class ProbedPlatform:
    """A running service; `plant` changes its faults, `run` runs checks against it."""

    platform: ReferencePlatform
    process: subprocess.Popen[str]
    port: int
    hashes: dict[str, str]
    """What the accounts had before: the platform is shared with tests that look at it."""

    @property
    def environment(self) -> dict[str, str]:
        return {**self.platform.environment, "API_PORT": str(self.port)}

    def plant(self, *faults: str) -> None:
        """Exactly these faults from now on."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(",".join(faults) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", answer
        self.platform.forget_requests()

    def context(self, **options: object) -> Context:
        """A context as the command would make it."""
        loaded = patient(load(self.platform.project.directory / "maestro.yaml", environ=self.environment))
        return Context(
            loaded,
            now=datetime.now(UTC),
            redact=Redactor(loaded.secrets),
            environ=self.environment,
            probe_production=True,
            **options,  # type: ignore[arg-type] # the test's own choice
        )

    def run(self, checks: Sequence[Check], *, max_latency_ms: float | None = None, **options: object) -> Report:
        """Run them as the command would; without a budget of the API's latency where none is given."""
        ctx = self.context(**options)
        if max_latency_ms is not None and ctx.settings.api is not None:
            api = replace(ctx.settings.api, max_latency_ms=max_latency_ms)
            ctx.loaded = replace(ctx.loaded, settings=replace(ctx.settings, api=api))
        try:
            plan = Plan(GateRule("test"), dict.fromkeys(Component, 1.0), deadline_s=60.0)
            deadlines = {check.id: 60.0 for check in checks}
            return run(checks, ctx, replace(plan, deadlines=deadlines, total_s=300.0))
        finally:
            ctx.close()
            assert ctx.cleanup.left == [], ctx.cleanup.left

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        _set_hashes(self.platform, self.hashes)


def start_probed(platform: ReferencePlatform) -> ProbedPlatform:
    """Start it, and give the accounts cheap hashes."""
    hashes = _cheap_hashes(platform)
    port = free_port()
    names = ("PATH", "HOME", "LANG", "TMPDIR")
    environ = {name: os.environ[name] for name in names if name in os.environ} | platform.environment
    folders = [str(platform.project.directory), *_package_folders()]
    environ |= {"PYTHONPATH": os.pathsep.join(folders), "MAESTRO_ALLOW_FAULTS": "1"}
    arguments = [str(port), str(platform.pair.fullchain), str(platform.pair.key)]
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=platform.project.directory,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    probed = ProbedPlatform(platform, process, port, hashes)
    end = time.monotonic() + 30
    while not _answers(port):
        assert process.poll() is None, "the service ended at once"
        assert time.monotonic() < end, "the service does not answer"
        time.sleep(0.05)
    return probed


def _cheap_hashes(platform: ReferencePlatform) -> dict[str, str]:
    """Give the accounts hashes of few rounds; returns those they had."""
    connection = psycopg2.connect(platform.environment["ADMIN_DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT email, password_hash FROM users")
            before: dict[str, str] = dict(cursor.fetchall())
    finally:
        connection.close()
    words = {f"{account}@example.test": platform.environment[variable] for account, variable in ACCOUNTS.items()}
    _set_hashes(platform, {email: bcrypt.using(rounds=ROUNDS).hash(word) for email, word in words.items()})
    return before


def _set_hashes(platform: ReferencePlatform, hashes: dict[str, str]) -> None:
    connection = psycopg2.connect(platform.environment["ADMIN_DATABASE_URL"])
    try:
        with connection, connection.cursor() as cursor:
            for email, word in hashes.items():
                cursor.execute("UPDATE users SET password_hash = %s WHERE email = %s", (word, email))
    finally:
        connection.close()
