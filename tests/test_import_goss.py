"""goss files → declared checks: carried over, proved against the real machine, and nothing dropped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from maestro_cli.api import Context, Status
from maestro_cli.config import load
from maestro_cli.declared import declared_checks
from maestro_cli.errors import ConfigurationError
from maestro_cli.goss import Translation, translate
from maestro_cli.goss.document import RESOURCES
from maestro_cli.goss.text import as_configuration

# The features of goss's own integration tests and examples, in a file of our own.
GOSS = """
---
file:
  {folder}/here.txt:
    title: the greeting is there
    meta: {{desc: people read it, owner: team a}}
    exists: true
    mode: 0640
    size: {{le: 20}}
    filetype: file
    contains:
      - hello
      - /^hel+o/
      - "!bye"
    md5: b1946ac92492d2347c6235b4d2611184
    sha256: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
  {folder}/gone.txt:
    exists: false
    contents: []
  {folder}/pipe:
    exists: true
    filetype: pipe
  ~root:
    exists: true
  /does/not/exist:
    exists: true
    skip: true
command:
  echo 'hi':
    exit-status: 0
    stdout:
      - hi
    stderr: ""
  no-such-program-here:
    exit-status: 127
    stdout: ""
    stderr:
      - not found
    timeout: 2000
  override:
    exec: true
    exit-status: 0
  'for n in 1 2; do echo "${{n}}"; done':
    exit-status: {{lt: 1}}
    stdout:
      and:
        - contain-element: {{gt: 1}}
        - not: {{match-regexp: 3}}
  versions:
    exec: echo 1.2.3
    exit-status: 0
    stdout: {{semver-constraint: ">1.0"}}
port:
  tcp:{open}:
    listening: true
    ip: [127.0.0.1]
  tcp:{closed}:
    listening: false
    ip: []
  sctp:7: {{listening: true}}
addr:
  tcp://127.0.0.1:{open}:
    reachable: true
    timeout: 500
  udp://127.0.0.1:53:
    reachable: true
user:
  root:
    exists: true
    uid: {{le: 0}}
    gid: 0
    groups: [root]
    home: /root
    shell: {{have-prefix: /bin}}
  nobody-of-this-name: {{exists: false}}
group:
  root: {{exists: true, gid: 0}}
process:
  nothing-of-this-name: {{running: false}}
kernel-param:
  kernel.ostype: {{value: Linux}}
mount:
  /:
    exists: true
    usage: {{and: [{{le: 100}}, {{ge: 0}}]}}
interface:
  lo:
    exists: true
    mtu: {{gt: 0}}
dns:
  localhost: {{resolvable: true, addrs: ["127.0.0.1"], timeout: 1000}}
matching:
  has_2:
    content: [2]
    matches: {{contain-element: 2}}
"""


@pytest.fixture
def listening() -> Any:
    with socket.socket() as open_, socket.socket() as closed:
        open_.bind(("127.0.0.1", 0))
        open_.listen()
        closed.bind(("127.0.0.1", 0))  # bound, so that nobody else takes it, but not listening
        yield open_.getsockname()[1], closed.getsockname()[1]


def write(folder: Path, text: str, name: str = "goss.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def run(translation: Translation, folder: Path, environ: dict[str, str] | None = None) -> dict[str, tuple[Status, str]]:
    path = write(folder, as_configuration(translation, "goss.yaml"), "made.yaml")
    loaded = load(path, environ=environ or {})
    ctx = Context(loaded, environ=dict(os.environ))
    try:
        return {check.id: ((found := check(ctx)).status, found.message) for check in declared_checks(loaded)}
    finally:
        ctx.close()


def test_a_goss_file_holds_here_as_it_would_under_goss(tmp_path: Path, listening: tuple[int, int]) -> None:
    (tmp_path / "here.txt").write_text("hello\n")
    (tmp_path / "here.txt").chmod(0o640)
    os.mkfifo(tmp_path / "pipe")
    path = write(tmp_path, GOSS.format(folder=tmp_path, open=listening[0], closed=listening[1]))
    translation = translate(path)
    found = run(translation, tmp_path)
    short = {name: row for name, row in found.items() if row[0] is not Status.PASS}
    assert not short
    assert len(found) >= 28

    left_out = {row.subject: row.reason for row in translation.left_out}
    assert left_out.keys() == {
        f"file {tmp_path}/here.txt: meta",
        "file ~root",
        "file /does/not/exist",
        "command versions: stdout",
        "port sctp:7",
        "addr udp://127.0.0.1:53",
        "matching has_2",
    }
    assert "semver-constraint" in left_out["command versions: stdout"]
    places = {row.subject: row.place for row in translation.left_out}
    assert places["file ~root"] == f"{path}:{1 + GOSS.splitlines().index('  ~root:')}"
    (titled,) = [
        check for check in translation.checks if check.get("title") == "the greeting is there" and "file" in check
    ]
    assert titled["why"] == "people read it"
    assert titled["file"]["mode"] == "0640"


def test_what_changed_on_the_machine_turns_them_red(tmp_path: Path, listening: tuple[int, int]) -> None:
    (tmp_path / "here.txt").write_text("hello, then bye\n")
    (tmp_path / "here.txt").chmod(0o644)
    (tmp_path / "gone.txt").touch()
    (tmp_path / "pipe").touch()
    # the ports the other way round
    path = write(tmp_path, GOSS.format(folder=tmp_path, open=listening[1], closed=listening[0]))
    found = run(translate(path), tmp_path)
    red = {name for name, (status, _) in found.items() if status is not Status.PASS}
    stem = "health.file-" + str(tmp_path).strip("/").replace("/", "-").replace("_", "-").lower()
    assert {
        "health.port-tcp-" + str(listening[0]),
        "health.port-tcp-" + str(listening[1]),
        "health.addr-127-0-0-1-" + str(listening[1]),
    } <= red
    assert len([name for name in red if name.startswith(stem[:70])]) == 4, red  # here, its md5, gone, the pipe


def test_http_carries_headers_redirects_and_names_its_credentials(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
http:
  https://example.test/basic:
    status: 401
    allow-insecure: true
    no-follow-redirects: true
    timeout: 250
    username: someone
    password: hunter2
    method: PUT
    request-body: '{"a": 1}'
    request-headers: ["Foo: bar", "Authorization: Bearer abc.def"]
    headers: ["Content-Type: application/json", "/^X-.*/"]
    body: ['"ok"']
    proxy: http://127.0.0.1:8888
    cert-file: ""
""",
    )
    translation = translate(path)
    (check,) = translation.checks
    assert check["http"] == {
        "url": "https://example.test/basic",
        "method": "PUT",
        "request_body": '{"a": 1}',
        "status": 401,
        "body": ['"ok"'],
        "headers": {"Content-Type": ["application/json"]},
        "request_headers": {"Foo": "bar", "Authorization": "${GOSS_EXAMPLE_TEST_BASIC_AUTHORIZATION}"},
        "username": "someone",
        "password": "${GOSS_EXAMPLE_TEST_BASIC_PASSWORD}",
        "verify": False,
        "timeout_s": 0.25,
    }
    text = as_configuration(translation, "goss.yaml")
    assert "hunter2" not in text
    assert "abc.def" not in text
    assert [row.subject.rpartition(": ")[2] for row in translation.left_out] == ["headers", "proxy"]
    loaded = load(path, environ=dict.fromkeys(translation.credentials, "value"), text=text)
    http = loaded.settings.checks[0].http
    assert http is not None
    assert http.password is not None
    assert http.password.reveal() == "value"


def test_dns_records_as_goss_writes_them(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
dns:
  CAA:dnstest.test: {resolvable: true, server: "127.0.0.1:8053", addrs: ["0 issue ca.test"], timeout: 2000}
  MX:dnstest.test: {resolveable: true, server: 8.8.8.8, addrs: [5 a.dnstest.test.]}
  PTR:54.243.154.1: {resolvable: true, server: 8.8.8.8, addrs: [ec2.test.]}
  both.test: {resolvable: true, server: 8.8.8.8, addrs: [127.0.0.1, "::1"]}
  nowhere.test: {resolvable: false}
""",
    )
    subjects = [check["dns"] for check in translate(path).checks]
    assert subjects == [
        {
            "name": "dnstest.test",
            "server": "127.0.0.1:8053",
            "timeout_s": 2.0,
            "type": "CAA",
            "answers": {"contain-elements": ['0 issue "ca.test"']},
        },
        {
            "name": "dnstest.test",
            "server": "8.8.8.8",
            "type": "MX",
            "answers": {"contain-elements": ["5 a.dnstest.test"]},
        },
        {
            "name": "1.154.243.54.in-addr.arpa",
            "server": "8.8.8.8",
            "type": "PTR",
            "answers": {"contain-elements": ["ec2.test"]},
        },
        {"name": "both.test", "server": "8.8.8.8", "type": "A", "answers": {"contain-elements": ["127.0.0.1"]}},
        {"name": "both.test", "server": "8.8.8.8", "type": "AAAA", "answers": {"contain-elements": ["::1"]}},
        {"name": "nowhere.test", "resolvable": False},
    ]


def test_packages_and_services_ask_the_system(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
package:
  bash: {installed: true}
  no-such-package-here: {installed: false}
service:
  foobar: {enabled: false, running: false}
""",
    )
    translation = translate(path)
    assert [row["command"].get("exit_status") for row in translation.checks] == [None, *[{"not": 0}] * 3]
    found = run(translation, tmp_path)
    assert found["health.package-no-such-package-here"][0] is Status.PASS
    assert found["health.package-bash"][0] is Status.PASS


def test_included_files_come_along_and_their_own_includes_once(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts", "file: {/etc/passwd: {exists: true}}\ngossfile: {../goss.yaml: {}}\n", "a.yaml")
    write(tmp_path / "parts", "file: {/etc/passwd: {exists: true}}\n", "b.yaml")
    path = write(tmp_path, "gossfile:\n  parts/*.yaml: {}\n  other: {file: nowhere.yaml, skip: true}\n")
    translation = translate(path)
    assert [row["id"] for row in translation.checks] == ["health.file-etc-passwd", "health.file-etc-passwd-2"]
    assert [row.reason for row in translation.left_out] == ["skipped in the goss file"]
    with pytest.raises(ConfigurationError, match=r"goss.yaml:2: gossfile gone.yaml does not exist"):
        translate(write(tmp_path, "gossfile:\n  gone.yaml: {}\n"))


def test_variables_of_the_environment_become_references_and_other_templates_are_goss_s_own(tmp_path: Path) -> None:
    path = write(tmp_path, 'addr:\n  tcp://{{.Env.HOST}}:{{ getEnv "PORT" "5432" }}: {reachable: true}\n')
    (check,) = translate(path).checks
    assert check["tcp"]["address"] == "${HOST}:${PORT:-5432}"
    path = write(tmp_path, 'file:\n{{range mkSlice "/a" "/b"}}\n  {{.}}: {exists: true}\n{{end}}\n')
    with pytest.raises(ConfigurationError, match=r"goss\.yaml:2: holds a template") as caught:
        translate(path)
    assert "render" in str(caught.value.hint)


def test_merge_keys_are_followed_and_the_mapping_s_own_keys_win(tmp_path: Path) -> None:
    text = (
        "command:\n  first: &usual\n    exec: echo one\n    exit-status: 0\n    stdout: [one]\n"
        "  second:\n    <<: *usual\n    exec: echo two\n"
        "  third:\n    stdout: [three]\n    <<: [{exec: echo three}, *usual]\n"
    )
    translation = translate(write(tmp_path, text))
    assert translation.left_out == []
    assert [row["command"]["run"] for row in translation.checks] == ["echo one", "echo two", "echo three"]
    assert [str(status) for status, _ in run(translation, tmp_path).values()] == ["pass", "fail", "pass"]


def test_json_is_read_as_well(tmp_path: Path) -> None:
    path = write(tmp_path, '{\n\t"file": {\n\t\t"/etc/passwd": {"exists": true, "mode": "0644"}\n\t}\n}\n', "goss.json")
    assert [row["file"] for row in translate(path).checks] == [{"path": "/etc/passwd", "mode": "0644"}]


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "file: [\n", "file:\n  a: {exists: true}\n  a: {exists: false}\n"])
def test_what_is_no_goss_file_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"goss\.yaml"):
        translate(write(tmp_path, text))


def test_an_unknown_resource_is_listed_with_every_name(tmp_path: Path) -> None:
    translation = translate(write(tmp_path, "gopher: {a: {exists: true}, b: 1}\nfile: {/etc/passwd: {exists: true}}\n"))
    assert [row.subject for row in translation.left_out] == ["gopher a", "gopher b"]
    (misspelt,) = translate(write(tmp_path, "interfaces: {eth0: {exists: true}}\n")).left_out
    assert misspelt.reason == "maestro knows no such resource; did you mean interface?"
    assert len(translation.checks) == 1
    assert set(RESOURCES).isdisjoint({"gopher", "matching"})


def maestro(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "maestro_cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_command_writes_a_configuration_that_runs(tmp_path: Path) -> None:
    write(tmp_path, "file: {/etc/passwd: {exists: true, uid: 0}}\nprocess: {init-of-nobody: {running: true}}\n")
    done = maestro(tmp_path, "import", "goss.yaml", "-o", "made.yaml")
    assert done.returncode == 0, done.stderr
    assert "not carried over: goss.yaml:1: file /etc/passwd: uid: has no counterpart" in done.stderr
    assert "#   goss.yaml:1: file /etc/passwd: uid: has no counterpart" in (tmp_path / "made.yaml").read_text()
    run = maestro(
        tmp_path, "--config", "made.yaml", "validate", "--only", "health.file-*", "--only", "health.process-*", "--json"
    )
    assert run.returncode == 1, run.stderr
    report = json.loads(run.stdout)
    assert {row["id"]: row["status"] for row in report["checks"]} == {
        "health.file-etc-passwd": "pass",
        "health.process-init-of-nobody": "fail",
    }
    again = maestro(tmp_path, "import", "goss.yaml", "-o", "made.yaml")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert maestro(tmp_path, "import", "nowhere.yaml").returncode == 2


def test_checks_go_into_a_configuration_that_is_there(tmp_path: Path) -> None:
    write(tmp_path, "process: {sshd: {running: true}}\nuser: {root: {exists: true, colour: red}}\n")
    mine = "# mine\nchecks:\n  - {id: health.process-sshd, process: {name: sshd}}  # keep\n\n# the end\nversion: 1\n"
    (tmp_path / "maestro.yaml").write_text(mine)
    done = maestro(tmp_path, "import", "goss.yaml", "--into", "maestro.yaml")
    assert (done.returncode, done.stdout) == (0, "added to maestro.yaml\n"), done.stderr
    text = (tmp_path / "maestro.yaml").read_text()
    assert [line for line in mine.splitlines() if line not in text.splitlines()] == []
    assert "colour: has no counterpart" in text
    assert [path.read_text() for path in tmp_path.glob("maestro.yaml.*.bak")] == [mine]
    listed = json.loads(maestro(tmp_path, "checks", "list", "--json").stdout)
    ids = [row["id"] for row in listed if row["plugin"] == "maestro.yaml"]
    assert ids == ["health.process-sshd", "health.process-sshd-2", "health.user-root"]
    flow = "checks: [{id: health.a, tcp: 'x:1'}]\n"
    (tmp_path / "maestro.yaml").write_text(flow)
    refused = maestro(tmp_path, "import", "goss.yaml", "--into", "maestro.yaml")
    assert (refused.returncode, (tmp_path / "maestro.yaml").read_text()) == (1, flow)
    assert maestro(tmp_path, "import", "goss.yaml", "--into", "a.yaml", "-o", "b.yaml").returncode == 2
    assert "does not exist" in maestro(tmp_path, "import", "goss.yaml", "--into", "nowhere.yaml").stderr
