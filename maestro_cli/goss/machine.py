"""Resources about the machine: files, ports, processes, users, packages, services, mounts, interfaces, kernel parameters.

Where maestro has no kind of its own, a command observes what goss would: with the programs that every Linux has, and
one value or one line each, so that goss's matchers apply to it.
"""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Iterator
from typing import Any

from maestro_cli.goss.entry import MISSING, DeclaredRow, Entry, of_list

FILE_TYPES = {"file", "directory", "symlink"}
TESTS = {"pipe": "-p", "socket": "-S", "character-device": "-c", "block-device": "-b"}
"""goss's other file types → the option of test(1)."""
DIGESTS = {"md5": "md5sum", "sha512": "sha512sum"}
_LISTENING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""Protocol → the state of a listening socket in /proc/net (proc(5))."""


def file(entry: Entry) -> Iterator[DeclaredRow]:
    """A `file:` resource."""
    path = entry.named("path")
    if path.startswith("~"):
        entry.refuse("a path that begins with ~ is read by goss alone; write it out")
        return
    subject: dict[str, Any] = {"path": path}
    if not entry.flag("exists"):
        subject["exists"] = False
    kind = entry.text("filetype")
    if kind in FILE_TYPES:
        subject["type"] = kind
    elif kind in TESTS:
        yield command(entry, ["test", TESTS[kind], path], suffix=kind)
    elif kind is not MISSING:
        entry.leave_out("filetype", f"there is no file type {kind}")
    yield DeclaredRow(f"file {path}", "file", {**subject, **_properties(entry)})
    for digest, program in DIGESTS.items():
        value = entry.text(digest)
        if value is not MISSING:
            yield command(entry, [program, path], suffix=digest, stdout={"have-prefix": value})


def _properties(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {}
    mode = entry.text("mode")
    if mode is not MISSING:
        found["mode"] = mode.zfill(4)
    for name, attribute in (("owner", "owner"), ("group", "group"), ("sha256", "sha256"), ("linked_to", "linked-to")):
        value = entry.text(attribute)
        if value is not MISSING:
            found[name] = value
    for name, attributes in (("size", ("size",)), ("contents", ("contents", "contains"))):
        value = entry.matcher(*attributes)
        if value is not MISSING and value != []:
            found[name] = value
    return found


def port(entry: Entry) -> Iterator[DeclaredRow]:
    """`port:`, from /proc/net, where goss reads it too."""
    protocol, _, number = entry.named("port").rpartition(":")
    protocol = protocol or "tcp"
    if protocol not in _LISTENING or not number.isdigit() or not 0 < int(number) < 65536:
        entry.refuse("not PROTOCOL:PORT with tcp, tcp6, udp or udp6")
        return
    addresses = entry.take("ip")
    listening = entry.flag("listening")
    hexadecimal = f"{int(number):04X}"
    program = f'$4 == "{_LISTENING[protocol]}" && $2 ~ /:{hexadecimal}$/ {{ print $2; n++ }} END {{ exit !n }}'
    subject: dict[str, Any] = {"run": ["awk", program, f"/proc/net/{protocol}"]}
    title = f"{protocol}:{number} {'is listened on' if listening else 'is listened on by nobody'}"
    if not listening:
        subject["exit_status"] = 1
    elif isinstance(addresses, list) and addresses:
        try:
            wanted = [_in_proc(str(address)) for address in addresses]
        except ValueError:
            entry.leave_out("ip", "only plain addresses can be compared")
        else:
            subject["stdout"] = {"contain-elements": [f"{address}:{hexadecimal}" for address in wanted]}
            title += f" at {', '.join(str(address) for address in addresses)}"
    elif addresses is not MISSING and addresses != []:
        entry.leave_out("ip", "only a list of plain addresses can be compared")
    yield DeclaredRow(f"port {protocol} {number}", "command", subject, title=title)


def _in_proc(address: str) -> str:
    """An address as /proc/net writes it on a little-endian machine: each 32-bit word reversed, in hexadecimal."""
    packed = ipaddress.ip_address(address).packed
    return "".join(packed[start : start + 4][::-1].hex().upper() for start in range(0, len(packed), 4))


def process(entry: Entry) -> Iterator[DeclaredRow]:
    """A `process:` resource."""
    name = entry.named("comm")
    subject: dict[str, Any] = {"name": name}
    if not entry.flag("running"):
        subject["running"] = False
    yield DeclaredRow(f"process {name}", "process", subject)


def service(entry: Entry) -> Iterator[DeclaredRow]:
    """`service:`, asked of systemd."""
    name = entry.named("name")
    for attribute, verb in (("running", "is-active"), ("enabled", "is-enabled")):
        if attribute in entry.attributes:
            wanted = entry.flag(attribute)
            yield command(entry, ["systemctl", verb, "--quiet", name], suffix=attribute, succeeds=wanted)


def package(entry: Entry) -> Iterator[DeclaredRow]:
    """`package:`, asked of whichever of dpkg, rpm, apk and pacman is there."""
    name = shlex.quote(entry.named("name"))
    installed = (
        f"dpkg-query -W -f='${{Status}}' {name} 2>/dev/null | grep -q 'ok installed'"
        f" || rpm -q {name} >/dev/null 2>&1 || apk info -e {name} >/dev/null 2>&1 || pacman -Q {name} >/dev/null 2>&1"
    )
    yield command(entry, installed, succeeds=entry.flag("installed"))
    versions = entry.matcher("versions")
    if versions is not MISSING and versions != []:
        shown = f"dpkg-query -W -f='${{Version}}\\n' {name} 2>/dev/null || rpm -q --qf '%{{VERSION}}\\n' {name}"
        yield command(entry, shown, suffix="version", stdout=of_list(versions))


def user(entry: Entry) -> Iterator[DeclaredRow]:
    """A `user:` resource."""
    name = entry.named("username")
    quoted = shlex.quote(name)
    yield command(entry, ["id", "-u", name], succeeds=entry.flag("exists"))
    for attribute, run in (
        ("uid", f"id -u {quoted}"),
        ("gid", f"id -g {quoted}"),
        ("groups", f"id -Gn {quoted} | tr ' ' '\\n'"),
        ("home", f"getent passwd {quoted} | cut -d: -f6"),
        ("shell", f"getent passwd {quoted} | cut -d: -f7"),
    ):
        yield from _compared(entry, attribute, run)


def group(entry: Entry) -> Iterator[DeclaredRow]:
    """A `group:` resource."""
    name = entry.named("groupname")
    yield command(entry, ["getent", "group", name], succeeds=entry.flag("exists"))
    yield from _compared(entry, "gid", f"getent group {shlex.quote(name)} | cut -d: -f3")


def mount(entry: Entry) -> Iterator[DeclaredRow]:
    """`mount:`, asked of findmnt(8) and df(1)."""
    path = entry.named("mountpoint")
    quoted = shlex.quote(path)
    entry.take("timeout")
    yield command(entry, ["findmnt", "--noheadings", path], succeeds=entry.flag("exists"))
    for attribute, run in (
        ("source", f"findmnt -no SOURCE {quoted}"),
        ("filesystem", f"findmnt -no FSTYPE {quoted}"),
        ("opts", f"findmnt -no OPTIONS {quoted} | tr ',' '\\n'"),
        ("vfs-opts", f"findmnt -no FS-OPTIONS {quoted} | tr ',' '\\n'"),
        ("usage", f"df --output=pcent {quoted} | tail -n 1 | tr -dc 0-9"),
    ):
        yield from _compared(entry, attribute, run)


def interface(entry: Entry) -> Iterator[DeclaredRow]:
    """A `interface:` resource."""
    name = entry.named("name")
    quoted = shlex.quote(name)
    yield command(entry, ["test", "-e", f"/sys/class/net/{name}"], succeeds=entry.flag("exists"))
    yield from _compared(entry, "addrs", f"ip -o address show dev {quoted} | awk '{{print $4}}'")
    mtu = entry.matcher("mtu")
    if mtu is not MISSING:
        path = f"/sys/class/net/{name}/mtu"
        yield DeclaredRow(f"interface {name} mtu", "file", {"path": path, "contents": mtu})


def kernel_param(entry: Entry) -> Iterator[DeclaredRow]:
    """`kernel-param:`; sysctl(8) writes `/` of a path as `.` and the other way round."""
    name = entry.named("name")
    path = "/proc/sys/" + name.translate(str.maketrans("./", "/."))
    value = entry.matcher("value")
    if value is MISSING:
        value = None
    yield DeclaredRow(f"kernel-param {name}", "file", {"path": path, "contents": value})


def command(
    entry: Entry, run: str | list[str], *, suffix: str = "", succeeds: bool = True, stdout: Any = MISSING
) -> DeclaredRow:
    """A command's check about an entry: a text goes through the shell, a list does not."""
    subject: dict[str, Any] = {"run": run}
    if isinstance(run, str):
        subject["shell"] = True
    if not succeeds:
        subject["exit_status"] = {"not": 0}
    if stdout is not MISSING:
        subject["stdout"] = stdout
    title = f"{entry.kind} {entry.name}" + (f": {suffix}" if suffix else "") + ("" if succeeds else " (not)")
    return DeclaredRow(f"{entry.kind} {entry.name} {suffix}".strip(), "command", subject, title=title)


def _compared(entry: Entry, attribute: str, run: str) -> Iterator[DeclaredRow]:
    value = entry.matcher(attribute)
    if value is not MISSING and value != []:
        yield command(entry, run, suffix=attribute, stdout=of_list(value))
