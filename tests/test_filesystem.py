"""Files are private, whole, and changed together: at every system call at which a run can be killed."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from maestro_cli import filesystem, folder_exchange
from maestro_cli.errors import OutOfReach, Refused
from maestro_cli.filesystem import (
    backup_name,
    locked,
    make_private_directory,
    recover,
    replace_together,
    write_private,
)

OLD = {"key.pem": b"old key " * 200, "cert.pem": b"old certificate " * 100, "notes.txt": b"somebody's own"}
NEW = {"key.pem": b"new key " * 300, "cert.pem": b"new certificate " * 50, "extra.pem": b"more"}
SYSTEM_CALLS = ("open", "write", "fsync", "rename", "link", "unlink", "mkdir", "rmdir", "chmod", "symlink", "close")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "certs"
    make_private_directory(directory)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file() and path.name[0] != "."}


def leftovers(directory: Path) -> list[str]:
    hidden = [
        path.name for path in directory.iterdir() if path.name.startswith(".maestro") or "maestro-new" in path.name
    ]
    return hidden + [path.name for path in directory.parent.iterdir() if path.name.startswith(".")]


def killed_at(number: int, action: Callable[[], None]) -> bool:
    """Run `action` in a child that kills itself in place of its `number`-th system call; False when it got to the end."""
    child = os.fork()
    if child == 0:
        count = 0

        def counting(function: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return call

        try:
            for name in SYSTEM_CALLS:
                setattr(os, name, counting(getattr(os, name)))
            vars(folder_exchange)["exchange"] = counting(folder_exchange.exchange)
            action()
        except BaseException:  # noqa: BLE001 - the parent reads the exit code
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def every_kill(prepare: Callable[[], Path], action: Callable[[Path], None]) -> Iterator[Path]:
    """The folder after a kill at each system call of `action` in turn."""
    for number in range(1, 1000):
        directory = prepare()
        killed = killed_at(number, partial(action, directory))
        yield directory
        if not killed:
            assert number > 20  # the counting works
            return
    pytest.fail("it never came to its end")


def is_old_or_new(now: Mapping[str, bytes], old: Mapping[str, bytes], new: Mapping[str, bytes]) -> bool:
    pair = ("key.pem", "cert.pem")
    return [now.get(name) for name in pair] in ([old.get(name) for name in pair], [new.get(name) for name in pair])


@pytest.mark.parametrize("before", [OLD, {}], ids=["replacing", "first"])
def test_an_onlooker_never_sees_a_mixture_wherever_a_run_is_killed(tmp_path: Path, before: dict[str, bytes]) -> None:
    numbers = iter(range(10_000))

    def prepare() -> Path:
        directory = tmp_path / str(next(numbers)) / "certs"
        make_private_directory(directory)
        replace_together(directory, before, exclusive=True)
        (directory / "sub").mkdir()
        (directory / "sub" / "file").write_text("mine")
        return directory

    seen = set()
    for directory in every_kill(prepare, lambda where: replace_together(where, NEW, exclusive=True)):
        raw = contents(directory)  # as a program sees it that knows nothing of maestro
        assert is_old_or_new(raw, before, NEW)
        assert raw.get("notes.txt") == before.get("notes.txt")
        assert (directory / "sub" / "file").read_text() == "mine"
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in directory.rglob("*.pem"))
        seen.add(raw.get("key.pem"))

        recover(directory)
        assert is_old_or_new(contents(directory), before, NEW)
        with locked(directory, wait_s=1):  # and the next run finds a clean, free folder
            pass
        assert leftovers(directory) == []
        assert (directory / "sub" / "file").read_text() == "mine"
    assert seen == {before.get("key.pem"), NEW["key.pem"]}


def test_where_folders_cannot_be_exchanged_the_next_run_finishes_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(one: Path, other: Path) -> None:
        raise OSError(errno.EINVAL, "no such flag here")

    monkeypatch.setattr(folder_exchange, "exchange", cannot)
    numbers = iter(range(10_000))

    def prepare() -> Path:
        directory = tmp_path / str(next(numbers)) / "certs"
        make_private_directory(directory)
        replace_together(directory, OLD, exclusive=True)
        return directory

    for directory in every_kill(
        prepare, lambda where: replace_together(where, NEW | {"notes.txt": None}, exclusive=True)
    ):
        recover(directory)
        with locked(directory):
            after = contents(directory)
        assert after in (OLD, NEW)
        assert leftovers(directory) == []


def test_the_folder_itself_stays_so_that_mounts_and_shells_in_it_stay_attached(folder: Path) -> None:
    inode = folder.stat().st_ino
    handle = os.open(folder, os.O_RDONLY)
    replace_together(folder, OLD, exclusive=True)
    replace_together(folder, NEW, exclusive=True)
    assert folder.stat().st_ino == inode
    assert {entry.name for entry in os.scandir(handle)} == set(OLD) | set(NEW)
    os.close(handle)


def test_files_and_modes_are_private_at_any_umask(folder: Path) -> None:
    old = os.umask(0)
    try:
        (folder / "key.pem").write_bytes(b"wide")
        (folder / "key.pem").chmod(0o644)
        replace_together(folder, {"key.pem": b"k", "cert.pem": b"c"}, exclusive=True)
        write_private(folder / "alone", b"x")
    finally:
        os.umask(old)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_public_file_keeps_the_mode_its_owner_gave_it(folder: Path) -> None:
    replace_together(folder, OLD)
    (folder / "cert.pem").chmod(0o644)
    (folder / "key.pem").chmod(0o644)
    with locked(folder) as held:
        held.replace(NEW, keep_mode={"cert.pem"}, exclusive=True)
    assert stat.S_IMODE((folder / "cert.pem").stat().st_mode) == 0o644
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_link_at_the_path_is_refused_and_nothing_changes(folder: Path, tmp_path: Path, exclusive: bool) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    replace_together(folder, {"cert.pem": b"c"})
    (folder / "key.pem").symlink_to(victim)
    with pytest.raises(Refused, match=r"key\.pem is a symbolic link"):
        replace_together(folder, NEW, exclusive=exclusive)
    with pytest.raises(Refused):
        write_private(folder / "key.pem", b"k")
    assert victim.read_text() == "untouched"
    assert (folder / "key.pem").is_symlink()
    assert (folder / "cert.pem").read_bytes() == b"c"
    assert leftovers(folder) == []


def test_a_folder_at_the_path_is_refused(folder: Path) -> None:
    (folder / "key.pem").mkdir()
    with pytest.raises(Refused, match="not a regular file"):
        replace_together(folder, NEW)


def test_a_read_only_folder_is_said_so_even_to_root(folder: Path) -> None:
    replace_together(folder, OLD, exclusive=True)
    folder.chmod(0o500)
    with pytest.raises(OutOfReach, match="cannot be written to"):
        replace_together(folder, NEW, exclusive=True)
    folder.chmod(0o700)
    assert contents(folder) == OLD
    assert leftovers(folder) == []


@pytest.mark.parametrize("exclusive", [True, False])
def test_too_big_a_file_leaves_everything_as_it_was(folder: Path, exclusive: bool) -> None:
    replace_together(folder, OLD, exclusive=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OutOfReach, match="No room to write"):
            replace_together(folder, NEW | {"big.pem": b"x" * 30_000}, exclusive=exclusive)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert contents(folder) == OLD
    assert leftovers(folder) == []


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root to mount a tiny tmpfs")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False, capture_output=True
    ).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as filler:
        while filler.write(b"x" * 4096):
            pass


@pytest.mark.parametrize("where", [".", "certs"], ids=["mount point", "folder"])
def test_a_full_disk_leaves_everything_as_it_was(tiny_disk: Path, where: str) -> None:
    directory = tiny_disk / where
    make_private_directory(directory)
    replace_together(directory, OLD, exclusive=True)
    (tiny_disk / "filler").write_bytes(b"")
    fill(tiny_disk / "filler")
    before = contents(directory)
    with pytest.raises(OutOfReach, match="No room to write"):
        replace_together(directory, NEW, exclusive=True)
    assert contents(directory) == before
    (tiny_disk / "filler").unlink()
    replace_together(directory, NEW, exclusive=True)
    assert NEW.items() <= contents(directory).items()
    assert [name for name in leftovers(directory) if "maestro" in name] == []


def test_an_interrupt_waits_until_the_change_is_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_together(folder, OLD, exclusive=True)
    exchange = folder_exchange.exchange

    def interrupted(one: Path, other: Path) -> None:
        exchange(one, other)
        os.kill(os.getpid(), signal.SIGINT)  # somebody presses Ctrl-C while the stand-in is to be seen

    monkeypatch.setattr(folder_exchange, "exchange", interrupted)
    # A background job of a script starts with SIGINT ignored, and so would these tests in it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            replace_together(folder, NEW, exclusive=True)
    finally:
        signal.signal(signal.SIGINT, before)
    assert contents(folder) == OLD | NEW
    assert leftovers(folder) == []


def test_two_runs_at_once_take_turns(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from maestro_cli.filesystem import replace_together\n"
        "who = sys.argv[2].encode()\n"
        "for _ in range(60): replace_together(Path(sys.argv[1]), {'key.pem': who, 'cert.pem': who}, exclusive=True)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", script, folder, name], stderr=subprocess.PIPE, text=True)
        for name in "abc"
    ]
    assert [(run.communicate(timeout=60)[1], run.returncode) for run in runs] == [("", 0)] * 3
    after = contents(folder)
    assert after["key.pem"] == after["cert.pem"]
    assert leftovers(folder) == []


def test_a_second_run_waits_and_then_says_who_is_in_the_way(folder: Path) -> None:
    with (
        locked(folder),
        pytest.raises(OutOfReach, match="Another maestro is at work"),
        locked(folder, wait_s=0.2),
    ):
        pytest.fail("two at once")
    with locked(folder, wait_s=0.2):
        pass


def test_a_run_that_waited_works_on_the_real_folder_and_not_on_the_stand_in(folder: Path) -> None:
    replace_together(folder, OLD, exclusive=True)
    done = threading.Event()

    def late() -> None:
        replace_together(folder, {"late": b"1"})
        done.set()

    with locked(folder) as held:
        thread = threading.Thread(target=late)
        thread.start()
        assert not done.wait(0.2)
        held.replace(NEW, exclusive=True)
    thread.join(10)
    assert done.is_set()
    assert contents(folder) == OLD | NEW | {"late": b"1"}


def test_a_foreign_folder_with_the_stand_ins_name_is_left_alone(folder: Path) -> None:
    foreign = folder_exchange.hidden_path(folder)
    foreign.mkdir()
    (foreign / "precious").write_text("x")
    replace_together(folder, NEW, exclusive=True)
    assert contents(folder) == NEW
    assert (foreign / "precious").read_text() == "x"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may walk into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_folder_of_ours_below_a_folder_of_others(open_folder: Path) -> None:
    """The parent is not ours, so the folder cannot be exchanged: the change is made all the same."""
    directory = open_folder / "certs"
    make_private_directory(directory)
    os.chown(directory, 65534, 65534)
    child = os.fork()
    if child == 0:
        try:
            os.setuid(65534)
            replace_together(directory, OLD, exclusive=True)
            replace_together(directory, NEW, exclusive=True)
        except BaseException:  # noqa: BLE001 - the parent reads the exit code
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert contents(directory) == OLD | NEW
    assert leftovers(directory) == []
    # and root, renewing it, leaves the files to their owner
    replace_together(directory, {"key.pem": b"r", "cert.pem": b"r"}, exclusive=True)
    assert (directory / "key.pem").stat().st_uid == 65534


def test_many_files_are_written_at_once(folder: Path) -> None:
    files = {f"{number}.pem": b"x" * 100 for number in range(300)}
    replace_together(folder, files)
    assert contents(folder) == files


def test_missing_folder_and_backup_name(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach, match="does not exist"):
        write_private(tmp_path / "nowhere" / "x", b"")
    assert backup_name("key.pem", datetime(2025, 10, 5, 10, 15, tzinfo=UTC)) == "key.pem.20251005T101500Z.bak"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutOfReach, match="is not a folder"):
        make_private_directory(tmp_path / "file")


def test_names_with_a_path_in_them_are_a_programming_error(folder: Path) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        replace_together(folder, {"../x": b""})


def test_the_module_is_cheap_to_import() -> None:
    heavy = {"cryptography", "ctypes", "typer", "rich", "yaml"}
    code = f"import sys, {filesystem.__name__}; print(sorted(set(sys.modules) & {heavy!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
