"""Is the API well, by its own account, and quick about it?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from maestro_cli.api import Context, Evidence, Finding, check, errored, failed, passed, warned
from maestro_cli.observe.health_report import words
from maestro_cli.observe.http import Answer

SAMPLES = 3
PAUSE_S = 1.0


@check(
    "health.api",
    component="infrastructure",
    priority="critical",
    requests=2 * SAMPLES + 1,
    faults=("health-500", "health-unavailable", "health-slow", "api-certificate-untrusted"),
)
def api(ctx: Context) -> Iterator[Finding]:
    """The API is well.

    Why: this is what a load balancer asks; what it hears decides whether users are served.
    Fails when: api.health_path is not answered 200, its JSON says that the service or something that it needs is not well,
    or the median of three answers takes longer than api.max_latency_ms, twice, with a pause between. Where the certificate is not trusted (see
    api.ca_file), or a path that does not exist is answered the same, nothing is observed.
    Fix: look at the service's log and at what its body names.
    Source: RFC 9110 §15.3.1; draft-inadarei-api-health-check, Health Check Response Format for HTTP APIs
    """
    settings = ctx.require(ctx.settings.api, "api")
    path, budget = settings.health_path, settings.max_latency_ms
    answers = [ctx.http.get(path)]
    answer, unknown = answers[0], ctx.http.get(f"/maestro-probe-{ctx.nonce}")
    chain = "certificate verified" if urlsplit(ctx.http.base).scheme == "https" else "not encrypted"
    seen = Evidence(f"GET {path}", f"{answer.status}, {chain}", "200")
    if answer.status != 200:
        said = ", ".join(f"{name} {word}" for name, word, _ in words(answer.json()))
        yield failed(f"GET {path} is answered {answer.status}{': ' + said if said else ''}.", seen)
        return
    if (unknown.status, unknown.body) == (answer.status, answer.body):
        control = Evidence("control: a path that does not exist", str(unknown.status), "404")
        yield errored(
            f"GET {path} is answered as a path that does not exist is, which says nothing of health.", control
        )
        return
    yield _body(path, answer, seen)
    answers += [ctx.http.get(path) for _ in range(SAMPLES - 1)]
    if any(each.status != 200 for each in answers):
        yield errored(f"GET {path} is answered {', '.join(map(str, answers))}, now so and now so.", seen)
        return
    medians = [_median_ms(answers)]
    if medians[0] > budget:
        # The other probes of this run may have kept a small service busy: a slow one is slow once more.
        time.sleep(PAUSE_S)
        medians.append(_median_ms([ctx.http.get(path) for _ in range(SAMPLES)]))
    seen_ms = ", then ".join(f"{median:.0f} ms" for median in medians)
    latency = Evidence("median answer", seen_ms, f"at most {budget:g} ms")
    if medians[-1] > budget:
        yield failed(f"GET {path} takes {medians[-1]:.0f} ms; at most {budget:g} ms.", latency)
    else:
        yield passed(f"GET {path} takes {medians[-1]:.0f} ms.", latency)


def _median_ms(answers: list[Answer]) -> float:
    return sorted(each.elapsed_s for each in answers)[len(answers) // 2] * 1000


def _body(path: str, answer: Answer, seen: Evidence) -> Finding:
    told = list(words(answer.json()))
    if answer.truncated:
        return errored(f"GET {path} is answered with more than a megabyte, which is no health report.", seen)
    ill = [f"{name} {word}" for name, word, kind in told if kind == "ill"]
    half = [f"{name} {word}" for name, word, kind in told if kind == "half"]
    if ill:
        return failed(
            f"GET {path} is answered 200, but says {', '.join(ill[:5])}.", seen, Evidence("body", ", ".join(ill[:5]))
        )
    if half:
        return warned(f"GET {path} says {', '.join(half[:5])}.", seen, Evidence("body", ", ".join(half[:5])))
    said = ", ".join(f"{name} {word}" for name, word, _ in told[:8])
    return passed(f"GET {path} says that all is well.", seen, *([Evidence("body", said)] if said else []))
