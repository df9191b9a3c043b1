"""security.user-enumeration by time: how many wrong passwords may be tried decides how fine it looks."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from check_support import context, expect, run_check
from small_api import Answering, Asked, Said, make_pair, serving

from maestro_cli.model import CheckResult

WORD = "ann-has-a-password"


class Sluggish:
    """Refuses wrong passwords after one time and unknown users after another; counts both."""

    def __init__(self, known_s: float, unknown_s: float) -> None:
        self.times = {"ann@example.test": known_s}
        self.unknown_s = unknown_s
        self.wrong = 0

    def __call__(self, asked: Asked) -> Said:
        if asked.path != "/login":
            return Said(404)
        body = json.loads(asked.body)
        if body["username"] == "ann@example.test" and body["password"] == WORD:
            return Said(200, b'{"access_token": "abc"}')
        self.wrong += body["username"] in self.times
        time.sleep(self.times.get(body["username"], self.unknown_s))
        return Said(401, b"no")


def look(folder: Path, service: Answering, more: str = "") -> CheckResult:
    with serving(service, tls=make_pair(folder / "certs")) as port:
        login = f"login: {{path: /login}}, accounts: [{{username: ann@example.test, password: {WORD}}}]"
        yaml = f"api: {{url: 'https://localhost:{port}', ca_file: certs/cert.pem, auth: {{{login}{more}}}}}\n"
        return run_check("security.user-enumeration", context(folder, yaml))


MANY = ", wrong_passwords: 20"


@pytest.mark.parametrize(("known", "unknown"), [(0.06, 0.03), (0.03, 0.06)], ids=["sooner", "later"])
def test_many_attempts_tell_a_difference_that_two_do_not(project: Path, known: float, unknown: float) -> None:
    service = Sluggish(known, unknown * 1.2 if unknown < known else unknown)
    expect(look(project, service, MANY), "fail", "by the time it takes", "of 20")
    assert service.wrong == 20


@pytest.mark.parametrize(("known", "unknown"), [(0.2, 0.04), (0.04, 0.2)], ids=["delayed", "sooner"])
def test_three_attempts_tell_a_delay_that_only_accounts_have(project: Path, known: float, unknown: float) -> None:
    service = Sluggish(known, unknown)
    expect(look(project, service, ", wrong_passwords: 3"), "fail", "by the time it takes", "of 3")
    assert service.wrong == 3


def test_equal_times_pass_whatever_the_number(project: Path) -> None:
    service = Sluggish(0.03, 0.03)
    expect(look(project, service, MANY), "pass", "of 20")
    two = Sluggish(0.03, 0.03)
    expect(look(project, two), "pass")
    assert two.wrong == 2, "no more than a lock-out forgives, where nobody says how many"


class Loaded(Sluggish):
    """Takes another time for each unknown user, as on a busy machine; the first ones are as told."""

    def __init__(self, known_s: float, *unknown_s: float) -> None:
        super().__init__(known_s, unknown_s[-1])
        self.first = list(unknown_s[:-1])
        self.right_s = [known_s]
        self.right = self.unknown = 0

    def __call__(self, asked: Asked) -> Said:
        strange = asked.path == "/login" and b"maestro-probe-" in asked.body and b"ann@" not in asked.body
        self.unknown += strange
        if strange and self.first:
            time.sleep(self.first.pop(0))
            return Said(401, b"no")
        if WORD.encode() in asked.body:
            self.right += 1
            time.sleep(self.right_s.pop(0) if len(self.right_s) > 1 else self.right_s[0])
        return super().__call__(asked)


def test_an_unknown_users_time_that_repeats_itself_is_not_asked_for_again(project: Path) -> None:
    """It is not half of the known one's, and what takes the same twice takes that long: two tries do."""
    service = Loaded(0.3, 0.2)
    expect(look(project, service), "pass", "of 2")
    assert service.unknown == 2
    uneven = Loaded(0.3, 0.2, 0.26, 0.21)
    expect(look(project, uneven), "pass", "of 3")
    assert uneven.unknown == 3


def test_a_difference_that_load_hides_at_first_is_found(project: Path) -> None:
    expect(look(project, Loaded(0.3, 0.2, 0.26, 0.0)), "fail", "by the time it takes")


def test_a_difference_that_was_the_loads_is_seen_to_be_none_by_one_pair(project: Path) -> None:
    service = Loaded(0.3, 0.1)
    service.right_s = [0.1]
    expect(look(project, service), "pass", "right password, for comparison 200", "of 1")
    assert service.right == 2, "the run's own login, and one beside an unknown user's"


def test_one_pair_is_not_enough_to_say_that_the_known_user_is_refused_sooner(project: Path) -> None:
    """It is the load once more where the next unknown users are as fast."""
    service = Loaded(0.04, 0.2, 0.2, 0.2, 0.05)
    service.right_s = [0.0, 0.2, 0.05]
    expect(look(project, service), "pass", "unknown user, beside it")


class Telling:
    """Refuses both with 401, and adds something to one of the two."""

    def __init__(self, known: dict[str, object], unknown: dict[str, object], **headers: str) -> None:
        self.members = {True: known, False: unknown}
        self.headers = headers
        self.others: dict[str, str] = {}
        self.usual: tuple[str, ...] = ()
        self.asked = 0

    def beside(self, **others: str) -> Telling:
        """The same, with headers of the unknown user's refusal."""
        self.others = others
        return self

    def behind(self, *servers: str) -> Telling:
        """The same, where every answer names the server that it is from; they take turns."""
        self.usual = servers
        return self

    def __call__(self, asked: Asked) -> Said:
        body = json.loads(asked.body)
        server = {"X-Served-By": self.usual[self.asked % len(self.usual)]} if self.usual else {}
        if asked.path != "/login" or (body["username"] == "ann@example.test" and body["password"] == WORD):
            return Said(200, b'{"access_token": "abc"}', server)
        self.asked += 1
        known = body["username"] == "ann@example.test"
        members = {name: self.asked if value == "count" else value for name, value in self.members[known].items()}
        own = self.headers if known else self.others
        return Said(401, json.dumps({"error": "no", **members}).encode(), {**own, **server})


class Locking(Telling):
    """The second wrong password of the one account is told that it is locked; strangers are told the same each time."""

    def __call__(self, asked: Asked) -> Said:
        said = super().__call__(asked)
        real = said.status == 401 and b"ann@example.test" in asked.body
        self.members[True] = {"says": "locked"} if real else self.members[True]
        return said


@pytest.mark.parametrize(
    ("service", "word"),
    [
        (Telling({"attempts_left": "count"}, {}), "answer"),
        (Telling({"code": 1001}, {"code": 1002}), "answer"),
        (Telling({}, {}, **{"Set-Cookie": "last_user=1; Secure; HttpOnly; SameSite=Strict"}), "headers"),
        (Telling({}, {}, **{"X-Locked": "0"}), "headers"),
        (
            Telling({}, {}, **{"WWW-Authenticate": 'Bearer error="password"'}).beside(
                **{"WWW-Authenticate": 'Bearer error="user"'}
            ),
            "headers",
        ),
        (Locking({}, {}), "answer"),
    ],
    ids=["count-for-one", "code", "cookie", "header", "header-says", "locked"],
)
def test_what_only_one_refusal_holds_tells(project: Path, service: Telling, word: str) -> None:
    expect(look(project, service), "fail", f"by the {word}")


@pytest.mark.parametrize(
    "service",
    [
        Telling({"request": "count"}, {"request": "count"}),
        Telling({}, {}),
        Telling({}, {}, **{"X-RateLimit-Remaining": "3", "Retry-After": "1"}),
        Telling({}, {}).behind("web-a", "web-b"),
        Telling({}, {}, **{"X-Request-Id": "abc", "ETag": '"a"'}).beside(**{"X-Request-Id": "def", "ETag": '"b"'}),
    ],
    ids=["volatile", "alike", "limit", "servers", "ids"],
)
def test_what_changes_anyway_tells_nothing(project: Path, service: Telling) -> None:
    expect(look(project, service), "pass")


def test_a_login_that_is_away_in_between_tells_nothing(project: Path) -> None:
    class Away(Telling):
        """Out of order for whoever comes second, as behind a limit that says 503."""

        def __call__(self, asked: Asked) -> Said:
            said = super().__call__(asked)
            return Said(503, b"slow down") if said.status == 401 and self.asked == 2 else said

    expect(look(project, Away({}, {})), "error", "503")
