"""Is a dump of a database whole, as far as can be told without restoring it?"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

MAXIMUM_READ = 512 << 20
"""Bytes of an uncompressed or compressed dump that are read through; of a larger one only the beginning is looked at."""
TAIL = 4096
LISTING_S = 20
_COMPLETE = b"dump complete"
"""pg_dump, pg_dumpall and mysqldump all end with these words."""


@dataclass(frozen=True, slots=True)
class Dump:
    """What a file is and whether it is whole: True, False, or None where that cannot be told."""

    kind: str
    whole: bool | None
    reason: str = ""


def judge_dump(path: Path, programs: Path | None = None) -> Dump:
    """Look at a dump.

    Args:
        path: The file.
        programs: Folder of pg_restore; the path's where it is None.

    Raises:
        OSError: When it cannot be read.
    """
    size = path.stat().st_size
    if size == 0:
        return Dump("an empty file", whole=False, reason="it is empty")
    with path.open("rb") as stream:
        head = stream.read(512)
        stream.seek(0)
        if head.startswith(b"PGDMP"):
            return _listed(path, "a custom-format dump", programs)
        if head[257:262] == b"ustar":
            return _listed(path, "a tar-format dump", programs)
        if head.startswith(b"\x1f\x8b"):
            return _gzip(path, size)
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            return Dump("a zstd file", whole=None, reason="its inside is not looked at")
        if b"\0" in head:
            return Dump("a file of unknown format", whole=None, reason="nothing tells where it ends")
        return _ends_well(stream, size, "an SQL dump")


def _listed(path: Path, kind: str, programs: Path | None) -> Dump:
    """pg_restore reads the table of contents and seeks through the data; without it only the beginning is known."""
    program = shutil.which("pg_restore", path=None if programs is None else str(programs))
    if program is None:
        return Dump(kind, whole=None, reason="pg_restore is not installed")
    try:
        # Written to nowhere: every byte of data is read and unpacked.
        done = subprocess.run(
            [program, "--file=/dev/null", str(path)], capture_output=True, timeout=LISTING_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Dump(kind, whole=None, reason=f"pg_restore takes longer than {LISTING_S} s")
    if done.returncode != 0:
        line = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["pg_restore fails"])[-1]
        if "unsupported version" in line:
            return Dump(kind, whole=None, reason="the installed pg_restore is too old for it")
        return Dump(kind, whole=False, reason=line.removeprefix("pg_restore: ")[:120])
    return Dump(kind, whole=True)


def _gzip(path: Path, size: int) -> Dump:
    if size > MAXIMUM_READ:
        return Dump("a gzip file", whole=None, reason="it is too large to be read through")
    tail, read = b"", 0
    try:
        with gzip.open(path) as stream:
            while chunk := stream.read(1 << 20):
                tail = (tail + chunk)[-TAIL:]
                read += len(chunk)
                if read > 8 * MAXIMUM_READ:
                    return Dump("a gzip file", whole=None, reason="it is too large to be read through")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return Dump("a gzip file", whole=False, reason=f"it cannot be unpacked: {error}"[:120])
    if _COMPLETE in tail:
        return Dump("a gzipped SQL dump", whole=True)
    return Dump("a gzip file", whole=None, reason="nothing in it tells where it ends")


def _ends_well(stream: IO[bytes], size: int, kind: str) -> Dump:
    stream.seek(max(0, size - TAIL))
    if _COMPLETE in stream.read():
        return Dump(kind, whole=True)
    return Dump(kind, whole=False, reason="it does not end with the words that pg_dump ends with")
