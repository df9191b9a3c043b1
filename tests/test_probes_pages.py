"""Lists that come in pages: the object that leaks may stand on a later one, and so may the owner's own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from check_support import context, expect, run_check
from other_service import OtherService, Shape, configuration
from small_api import Asked, Said, serving

from maestro_cli.observe.http import Answer
from maestro_cli.observe.pages import next_page

SIZE = 3


class Paged(OtherService):
    """The other service with more rows than a page holds, the oldest first."""

    leaks = False
    believes = False
    told = "link"

    def __call__(self, asked: Asked) -> Said:
        target = urlsplit(asked.path)
        said = super().__call__(asked)
        if asked.method != "GET" or not target.path.endswith("/notes") or said.status != 200:
            return said
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        own = list(self.objects.values()) if self.leaks else json.loads(said.body)["notes"]
        older = "older"
        if self.believes and (named := asked.headers.get("x-tenant-id")) is not None:
            own, older = [row for row in self.objects.values() if row["tenant"] == named], f"older, of {named}"
        rows = [{"id": f"old-{number}", "text": older} for number in range(7)] + own
        size = min(int(query.get("per_page", SIZE)), 100) if self.told == "per_page" else SIZE
        if query.keys() - {"page", "cursor", "per_page"}:
            return Said(400, b'{"error": "an unknown parameter"}', said.headers)
        start = int(query.get("cursor", 0)) + SIZE * (int(query.get("page", 1)) - 1)
        return self._page(rows, start, start + size, said, target.path)

    def _page(self, rows: list[Any], start: int, end: int, said: Said, path: str) -> Said:
        document: dict[str, Any] = {"notes": rows[start:end]}
        headers = dict(said.headers)
        if end < len(rows) and self.told == "link":
            headers["Link"] = f'<http://inside.example{path}?page={end // SIZE + 1}>; rel="next"'
        if self.told == "cursor":
            document["meta"] = {"next_cursor": str(end) if end < len(rows) else None}
        if self.told == "page":
            document |= {"page": start // SIZE + 1, "total_pages": -(-len(rows) // SIZE)}
        return Said(said.status, json.dumps(document).encode(), headers)


@pytest.mark.parametrize("told", ["link", "cursor", "page", "per_page"])
@pytest.mark.parametrize("leaks", [True, False])
def test_a_leak_on_a_later_page_is_found(project: Path, told: str, *, leaks: bool) -> None:
    service = Paged(Shape())
    service.leaks, service.told = leaks, told
    with serving(service) as port:
        result = run_check("security.tenant-list", context(project, configuration(service, port)))
    if leaks:
        expect(result, "fail", "holds another tenant's object")
    else:
        expect(result, "pass")


def test_a_header_that_lists_another_tenant_is_found_on_a_later_page(project: Path) -> None:
    service = Paged(Shape())
    service.believes, service.told = True, "cursor"
    with serving(service) as port:
        ctx = context(project, configuration(service, port))
        expect(run_check("security.tenant-spoofing", ctx), "fail", "the header X-Tenant-ID.", "holding the object")
        ctx.close()
    assert service.objects == {}


def test_a_list_whose_pages_cannot_be_found_is_no_evidence(project: Path) -> None:
    service = Paged(Shape())
    service.told = "nothing"
    with serving(service) as port:
        result = run_check("security.tenant-list", context(project, configuration(service, port)))
    expect(result, "error", "does not hold the object either")
    assert result.remedy is not None
    assert "sort=" in result.remedy.text


PLAIN = Answer(200, {}, b"{}", 0.0)


@pytest.mark.parametrize(
    ("headers", "document", "following"),
    [
        ({"link": '</api/notes?page=2>; rel="next", </api/notes?page=9>; rel="last"'}, [], "/api/notes?page=2"),
        ({"link": '</api/notes?page=1>; rel="prev"; title="x", <?page=3>; rel=next'}, [], "/api/notes?page=3"),
        ({"link": '</style.css>; rel="preload"'}, {}, None),
        ({}, {"next": "https://elsewhere.example/api/notes?offset=20"}, "/api/notes?offset=20"),
        ({}, {"next": None, "results": []}, None),
        ({}, {"next": True}, None),
        ({}, {"links": {"next": "/api/notes?p=2"}}, "/api/notes?p=2"),
        ({}, {"_links": {"next": {"href": "/api/notes?p=2"}}}, "/api/notes?p=2"),
        ({}, {"@odata.nextLink": "/api/notes?$skip=10"}, "/api/notes?$skip=10"),
        ({}, {"nextCursor": "a b"}, "/api/notes?sort=id&cursor=a+b"),
        ({}, {"meta": {"next_page_token": "t"}}, "/api/notes?sort=id&page_token=t"),
        ({}, {"page": 2, "pages": 3}, "/api/notes?sort=id&page=3"),
        ({}, {"page": 3, "pages": 3}, None),
        ({}, {"offset": 0, "limit": 20, "total": 21}, "/api/notes?sort=id&offset=20"),
        ({}, {"offset": 20, "limit": 20, "total": 21}, None),
        ({}, [{"next": "/of/a/row"}], None),
    ],
)
def test_what_the_next_page_is(headers: dict[str, str], document: object, following: str | None) -> None:
    answer = replace(PLAIN, headers=headers, body=json.dumps(document).encode())
    assert next_page(answer, "/api/notes?sort=id") == following
