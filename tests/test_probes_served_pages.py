"""Pages of frameworks that nobody meant to publish, and headers that name a version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from check_support import context, expect, run_check
from small_api import Asked, Said, serving

SERVED = {
    "/actuator": b'{"_links": {"self": {"href": "/actuator"}, "env": {"href": "/actuator/env"}}}',
    "/actuator/heapdump": b"JAVA PROFILE 1.0.2\x00",
    "/actuator/prometheus": b"# HELP jvm_threads Threads\n# TYPE jvm_threads gauge\n",
    "/jolokia": b'{"value": {"agent": "1.7.2"}}',
    "/rails/info/routes": b"<title>Action Controller: Exception caught</title><table><th>Helper<th>HTTP Verb</table>",
    "/sidekiq": b"<!doctype html><title>[STAGING] Sidekiq</title>",
    "/h2-console": b"<html><title>H2 Console</title></html>",
    "/requirements.txt": b"flask==3.1.0\ngunicorn\n",
    "/app.db": b"SQLite format 3\x00",
    "/database.sqlite": b"SQLite format 3\x00",
    "/key.pem": b"-----BEGIN PRIVATE KEY-----\nMIGH\n",
    "/server.key": b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n",
    "/Dockerfile": b"FROM python:3.12-slim\nCOPY . .\n",
    "/logs/app.log": b"2026-11-23 10:00:00,123 ERROR shop.orders could not be saved\n",
    "/error.log": b"Traceback (most recent call last):\n",
    "/.htpasswd": b"ann:$apr1$Zq8d2f1x$PbVhkhiRzpRm2h1bT5C0r1\n",
    "/.aws/credentials": b"[default]\naws_access_key_id = AKIAEXAMPLE\n",
}


@pytest.mark.parametrize("path", SERVED)
def test_a_page_of_the_inside_is_an_exposure(project: Path, path: str) -> None:
    def service(asked: Asked) -> Said:
        return Said() if asked.path == "/health" else Said(200, SERVED[path]) if asked.path == path else Said(404)

    with serving(service) as port:
        result = run_check("security.exposure", context(project, f"api: {{url: 'http://127.0.0.1:{port}'}}\n"))
    expect(result, "fail", f"{path} is served")


EXPLAINS = {
    "/openapi.yaml": b"openapi: 3.1.0\ninfo: {title: Orders}\n",
    "/graphql": b"<!doctype html><title>GraphiQL</title>",
    "/playground": b"<!DOCTYPE html><link href='//cdn.example/graphql-playground-react/static/css/index.css'>",
}


@pytest.mark.parametrize("path", EXPLAINS)
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_what_explains_the_api_is_closed_in_production(project: Path, path: str, environment: str) -> None:
    def service(asked: Asked) -> Said:
        return Said() if asked.path == "/health" else Said(200, EXPLAINS[path]) if asked.path == path else Said(404)

    with serving(service) as port:
        said = context(project, f"service: {{environment: {environment}}}\napi: {{url: 'http://127.0.0.1:{port}'}}\n")
        result = run_check("readiness.environment", said)
    if environment == "production":
        expect(result, "fail", path)
    else:
        expect(result, "pass")


@pytest.mark.parametrize("introspects", [True, False])
@pytest.mark.parametrize("prefix", ["", "/api"])
def test_graphql_introspection_is_a_warning_in_production(project: Path, *, introspects: bool, prefix: str) -> None:
    def service(asked: Asked) -> Said:
        if asked.path == f"{prefix}/health":
            return Said()
        if (asked.method, asked.path) != ("POST", "/graphql"):
            return Said(404)
        told = {"data": {"__schema": {"queryType": {"name": "Query"}}}}
        refused = {"errors": [{"message": 'GraphQL introspection is not allowed, but the query contained "__schema"'}]}
        return Said(200, json.dumps(told if introspects else refused).encode())

    with serving(service) as port:
        url = f"http://127.0.0.1:{port}{prefix}"
        result = run_check(
            "security.exposure", context(project, f"service: {{environment: production}}\napi: {{url: '{url}'}}\n")
        )
    expect(result, "warn" if introspects else "pass", *["its whole schema"] * introspects)


def test_health_alone_of_an_actuator_is_none(project: Path) -> None:
    links = b'{"_links": {"self": {"href": "/actuator"}, "health": {"href": "/actuator/health"}}}'

    def service(asked: Asked) -> Said:
        return Said() if asked.path == "/health" else Said(200, links) if asked.path == "/actuator" else Said(404)

    with serving(service) as port:
        result = run_check("security.exposure", context(project, f"api: {{url: 'http://127.0.0.1:{port}'}}\n"))
    expect(result, "pass")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("X-Powered-By", "Sinatra 3.0.5 (ruby 3.1.7)", "Sinatra 3.0.5"),
        ("X-AspNet-Version", "4.0.30319", "4.0.30319"),
        ("Server", "puma/5.6.5", "puma/5.6.5"),
        ("Server", "nginx", None),
        ("X-Powered-By", "Express", None),
    ],
)
def test_a_version_in_a_header_is_seen(project: Path, name: str, value: str, told: str | None) -> None:
    def service(asked: Asked) -> Said:
        return Said(200 if asked.path == "/health" else 404, headers={name: value})

    with serving(service) as port:
        result = run_check("security.exposure", context(project, f"api: {{url: 'http://127.0.0.1:{port}'}}\n"))
    expect(result, "pass" if told is None else "warn", *([] if told is None else [f"the headers name {told}"]))


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("jdbc:postgresql://10.0.3.7/ledger?user=ledger&password=hunter22", "fail"),
        ("jdbc:postgresql://10.0.3.7/ledger?user=ledger&password=******", "pass"),
        ("jdbc:postgresql://10.0.3.7/ledger", "pass"),
    ],
)
def test_a_health_page_that_names_its_database(project: Path, address: str, status: str) -> None:
    body = json.dumps({"status": "UP", "components": {"db": {"details": {"url": address}}}}).encode()
    with serving(lambda asked: Said(200, body) if asked.path == "/health" else Said(404)) as port:
        result = run_check("security.exposure", context(project, f"api: {{url: 'http://127.0.0.1:{port}'}}\n"))
    expect(result, status, *(["tells a password"] if status == "fail" else []))
