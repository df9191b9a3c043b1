"""Logs as JSON lines on standard output, with what looks like a secret taken out of every one of them."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

MASK = "[redacted]"
_SECRETS = (
    re.compile(r"()eyJ[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){1,4}"),  # tokens
    re.compile(r"(?i)(bearer )\S+"),
    re.compile(r"(://)[^\s/@]+@"),  # user and password of a URL
    re.compile(r"""(?i)(password["']?\s*[:=]\s*["']?)[^\s"',}]+"""),
    re.compile(r"(?i)([?&](?:\w*token|\w*key)=)[^&\s]+"),
)
"""What follows group 1 is a secret."""
FIELDS = ("request_id", "method", "path", "status", "duration_ms", "client", "user")
"""What a log call may add with `extra=`."""


def redact(text: str) -> str:
    """The text without what looks like a secret."""
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{MASK}", text)
    return text


class JsonLines(logging.Formatter):
    """One JSON object per record; line breaks in it can't forge another."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if isinstance(line.get("path"), str):
            line["path"] = redact(line["path"])
        if record.exc_info:
            line["exception"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def configure() -> None:
    """Send everything, uvicorn's own messages included, through one handler."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # request_log has its own line for each request
