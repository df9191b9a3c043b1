"""Logins are dear: few are made, few at once, and one serves several questions where it answers each as well."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from check_support import context, expect, load_check
from other_service import OtherService, configuration
from small_api import Asked, Said, serving

from maestro_cli.api import Context
from maestro_cli.model import CheckResult
from maestro_cli.observe import login as logins
from maestro_cli.observe import refused_login
from maestro_cli.observe import session as sessions
from maestro_cli.observe.burst import Asking
from maestro_cli.observe.first_refresh import first_refresh
from maestro_cli.observe.foreign_login import foreign_login
from maestro_cli.observe.revocation import logged_out
from maestro_cli.runner import execute

ORIGINS = {"origins": ["https://app.example.test"]}
ROLES = {"account": {"username": "bob", "password": "bob-has-a-password"}, "forbidden": [{"path": "/nowhere"}]}


class Counted(OtherService):
    """Notes its logins; may refuse some of them for what they look like, and may keep one session of each account."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.names: list[str] = []
        self.families: dict[str, set[str]] = {}
        self.under_way = self.most_at_once = 0
        self.takes_s = 0.0
        self.refuses = ""  # origin | quotes
        self.echoes_origin = self.one_session = False
        self.lock = threading.Lock()

    def _login(self, asked: Asked) -> Said:
        name = str(json.loads(asked.body).get("user"))
        with self.lock:
            self.names.append(name)
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
        time.sleep(self.takes_s)
        with self.lock:
            self.under_way -= 1
        origin = asked.headers.get("origin")
        if (self.refuses == "origin" and origin) or (self.refuses == "quotes" and "'" in name):
            return Said(403, b'{"why": "forged"}')
        said = super()._login(asked)
        allows = {"Access-Control-Allow-Origin": origin} if self.echoes_origin and origin else {}
        return Said(said.status, said.body, {**said.headers, **allows})

    def _issue(self, user: str, family: str) -> dict[str, str]:
        if self.one_session:
            self.ended |= self.families.get(user, set()) - {family}
        self.families.setdefault(user, set()).add(family)
        return super()._issue(user, family)


@contextmanager
def probed(folder: Path, service: OtherService, **api: Any) -> Iterator[Context]:
    """The context of a run against it."""
    with serving(service) as port:
        settings = json.loads(configuration(service, port))
        settings["api"] |= api
        ctx = context(folder, json.dumps(settings))
        try:
            yield ctx
        finally:
            ctx.close()


def look(check_id: str, ctx: Context) -> CheckResult:
    return execute(load_check(check_id), ctx)


def refused(service: Counted) -> int:
    """Logins of names that nobody has."""
    return sum(name not in ("ann", "bob") for name in service.names)


def test_one_refused_login_is_looked_at_for_sql_and_for_its_origin(project: Path) -> None:
    service = Counted()
    with probed(project, service, cors=ORIGINS) as ctx:
        expect(look("readiness.authentication", ctx), "pass", "a name that goes on in SQL 401")
        before = refused(service)
        assert "refused login" in repr(look("security.cors", ctx).evidence)
        assert refused(service) == before == 2, "the name that goes on in SQL, and the operator"


@pytest.mark.parametrize("refuses", ["origin", "quotes"])
def test_a_login_that_is_refused_for_its_looks_answers_neither_question(project: Path, refuses: str) -> None:
    """Nothing is proved by a guard in front: the name is asked without the origin, the origin with a plain name."""
    service = Counted(faults=frozenset({"name-in-sql"}))
    service.refuses, service.echoes_origin = refuses, True
    with probed(project, service, cors=ORIGINS) as ctx:
        assert foreign_login(ctx) is None
        found = look("readiness.authentication", ctx)
        expect(found, *(("fail", "goes on in SQL") if refuses == "origin" else ("pass",)))
        if refuses == "quotes":
            expect(look("security.cors", ctx), "fail", "A refused login allows a foreign origin by its name")


def test_a_name_that_is_let_in_is_found_though_no_refusal_is_like_it(project: Path) -> None:
    with probed(project, Counted(faults=frozenset({"name-in-sql"}))) as ctx:
        expect(look("readiness.authentication", ctx), "fail", "login with a name that goes on in SQL is accepted")


def test_a_session_that_its_probe_needs_no_more_is_the_one_that_is_refreshed(project: Path) -> None:
    service = Counted()
    with probed(project, service, roles=ROLES) as ctx:
        look("security.role-limits", ctx)
        logged_in = len(service.names)
        assert first_refresh(ctx).session.account.username == "bob"
        expect(look("security.refresh-rotation", ctx), "pass")
        assert len(service.names) == logged_in, "no further login"
    with probed(project, service) as ctx:
        sessions.for_account(ctx, 0)
        logged_in = len(service.names)
        assert first_refresh(ctx).session.account.username == "ann"
        assert len(service.names) == logged_in + 1, "the shared session is not touched"


def test_the_log_out_is_the_spare_sessions_unless_that_has_ended(project: Path) -> None:
    service = Counted()
    with probed(project, service) as ctx:
        spare = sessions.spare(ctx)
        assert logged_out(ctx).session is spare
    with probed(project, service) as ctx:
        spare = sessions.spare(ctx)
        sessions.log_out(ctx, spare)
        story = logged_out(ctx)
        assert story.session is not spare
        assert (story.before.status, story.after.status) == (200, 401)


def test_one_session_of_each_account_is_enough_for_the_last_probes(project: Path) -> None:
    """Where each login ends the account's others, the shared session is dead by then; nothing is said of that."""
    service = Counted()
    service.one_session = True
    with probed(project, service) as ctx:
        sessions.for_account(ctx, 0)
        for check_id in ("security.token-type", "security.revocation", "security.refresh-rotation"):
            expect(look(check_id, ctx), "pass")
        expect(look("security.write-authentication", ctx), "pass", "deletion with a token after its log-out")
    assert service.objects == {}


def test_no_more_than_two_logins_at_once(project: Path) -> None:
    service = Counted()
    service.takes_s = 0.15
    with probed(project, service) as ctx:
        several(ctx, 6)
        assert service.most_at_once == 2
        at_once(6, lambda _: Asking("/session", "POST", login=True).send(ctx, None))
        assert service.most_at_once == 6, "a burst is no burst otherwise"


def test_a_slow_login_is_not_waited_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a run would take as long as all its logins one after the other."""
    monkeypatch.setattr(logins, "TURN_S", 0.05)
    service = Counted()
    service.takes_s = 0.8
    with probed(project, service) as ctx:
        several(ctx, 6)
        assert service.most_at_once == 6


def several(ctx: Context, count: int) -> None:
    """So many refused logins at once."""
    at_once(count, lambda number: refused_login.attempt(ctx, f"nobody-{number}", "wrong"))


def at_once(count: int, act: Callable[[int], object]) -> None:
    """The same from as many threads."""
    threads = [threading.Thread(target=act, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
