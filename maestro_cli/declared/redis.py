"""`redis:` a command's answer and time."""

from __future__ import annotations

import shlex
import time
from typing import Any

from maestro_cli.api import Context, Finding, MaestroError
from maestro_cli.config.declared import RedisSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement
from maestro_cli.observe.cache import Cache, connect


def observe(subject: RedisSubject, ctx: Context, _stop: Stop) -> Finding:
    """Send the command and compare."""
    import redis

    cache = ctx.redis if subject.url is None else Cache(subject.url, connect(subject.url))
    words = shlex.split(subject.command) if isinstance(subject.command, str) else list(map(str, subject.command))
    started = time.perf_counter()
    try:
        answer = cache.call(*words)
    except redis.ResponseError as error:
        raise MaestroError(f"{words[0]} is refused: {error}") from None
    finally:
        if subject.url is not None:
            cache.close()
    elapsed = time.perf_counter() - started
    judgement = Judgement()
    value = _plain(answer)
    if subject.value is None:
        judgement.saw(words[0], value)
    judgement.expect(words[0], value, subject.value)
    judgement.took(elapsed, subject)
    return judgement.finding(f"{words[0]} answers as expected")


def _plain(answer: Any) -> Any:
    if answer is True:  # redis-py's reading of +PONG and +OK
        return "OK"
    if isinstance(answer, bytes):
        return answer.decode("utf-8", "replace")
    if isinstance(answer, list | tuple | set):
        return [_plain(item) for item in answer]
    return answer
