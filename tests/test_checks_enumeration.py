"""security.user-enumeration by time: how many wrong passwords may be tried decides how fine it looks."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from check_support import context, expect, run_check
from small_api import Asked, Said, make_pair, serving

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


def look(folder: Path, service: Sluggish, more: str = "") -> CheckResult:
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


def test_equal_times_pass_whatever_the_number(project: Path) -> None:
    service = Sluggish(0.03, 0.03)
    expect(look(project, service, MANY), "pass", "of 20")
    two = Sluggish(0.03, 0.03)
    expect(look(project, two), "pass")
    assert two.wrong == 2, "no more than a lock-out forgives, where nobody says how many"
