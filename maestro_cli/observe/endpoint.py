"""One configured request: placeholders filled in, sent as JSON or as a form; and reading a value out of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from maestro_cli.observe.http import Answer

if TYPE_CHECKING:
    from maestro_cli.config.api_settings import Endpoint
    from maestro_cli.observe.context import Context


MAXIMUM_WORDS = 160
"""Characters of a refusal that a sentence quotes."""


def fill(value: Any, values: Mapping[str, str]) -> Any:
    """`{name}` replaced in every text of a body; other braces stay as they are."""
    if isinstance(value, str):
        for name, replacement in values.items():
            value = value.replace("{" + name + "}", replacement)
        return value
    if isinstance(value, Mapping):
        return {key: fill(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill(item, values) for item in value]
    return value


def fill_path(path: str, values: Mapping[str, str]) -> str:
    """The same in a path, where values are escaped: an id with a slash in it must not reach another resource."""
    return str(fill(path, {name: quote(value, safe="") for name, value in values.items()}))


def with_query(path: str, query: str) -> str:
    """A path with a further piece of query; as it is where there is none."""
    return f"{path}{'&' if '?' in path else '?'}{query}" if query else path


def with_members(template: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """A body with further members: at its top, and inside where the object itself stands, `{"note": {"text": "{nonce}"}}`."""
    inner = {
        name: with_members(value, extra)
        for name, value in template.items()
        if isinstance(value, Mapping) and any("{nonce}" in str(item) for item in value.values())
    }
    return {**template, **inner, **extra}


def send(
    ctx: Context,
    endpoint: Endpoint,
    values: Mapping[str, str],
    *,
    default_method: str = "GET",
    default_body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
    expect_limit: bool = False,
    source: str | None = None,
    query: str = "",
) -> Answer:
    """Send a configured request.

    Args:
        ctx: The run.
        endpoint: Path, method, body and encoding.
        values: What stands for each placeholder; {csrf} is what the headers prove by, where they do.
        default_method: Where the endpoint names none.
        default_body: Where the endpoint has none.
        headers: Added; the endpoint's own headers win.
        extra: Further members of the body.
        expect_limit: A 429 is what the caller is after.
        source: Local address to send from, where it is not the run's own.
        query: Appended to the path.
    """
    proof = (headers or {}).get("X-CSRF-TOKEN")
    values = values if proof is None else {"csrf": proof, **values}
    template = endpoint.body if endpoint.body is not None else default_body
    body = None if template is None else fill(with_members(template, extra or {}), values)
    options: dict[str, Any] = {}
    if body is not None and endpoint.encoding == "form":
        options["form"] = {name: str(value) for name, value in body.items()}
    elif body is not None:
        options["json_body"] = body
    own = {name: value for name, value in fill(endpoint.headers or {}, values).items() if "{csrf}" not in value}
    return ctx.http.request(
        (endpoint.method or default_method).upper(),
        with_query(fill_path(endpoint.path, values), query),
        headers={**(headers or {}), **own},
        expect_limit=expect_limit,
        source=source,
        **options,
    )


def words_of(ctx: Context, answer: Answer) -> str:
    """What a refusal says, behind a colon on one line: `: {"detail": "The CSRF token is missing."}`; nothing of a page."""
    if "html" in (answer.header("content-type") or ""):
        return ""
    # Redacted before it is cut: half of a secret is not recognised.
    words = " ".join(ctx.redact(answer.body[:20_000].decode("utf-8", "replace")).split())
    return f": {words[:MAXIMUM_WORDS]}{'…' if len(words) > MAXIMUM_WORDS else ''}" if words else ""


def dig(value: Any, place: str) -> Any:
    """The value at a dotted place (`data.token`, `items.0.id`); None where there is none."""
    for part in place.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
