"""What `maestro init --with NAME` writes besides maestro.yaml: templates, with the service's name filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

EXTRAS: dict[str, dict[str, str]] = {
    "ci-github": {"ci/github.yml": ".github/workflows/maestro.yml"},
    "ci-gitlab": {"ci/gitlab.yml": ".gitlab-ci.yml"},
    "pre-commit": {"ci/pre-commit.yaml": ".pre-commit-config.yaml"},
    "compose": {"deploy/compose.yaml": "compose.yaml"},
    "env": {},
    "k8s-cronjob": {"deploy/k8s-cronjob.yaml": "deploy/maestro-cronjob.yaml"},
    "systemd": {
        "deploy/maestro.service": "deploy/maestro.service",
        "deploy/maestro.timer": "deploy/maestro.timer",
    },
    "prometheus": {"deploy/prometheus-rules.yml": "deploy/maestro-rules.yml"},
    "grafana": {"deploy/grafana-dashboard.json": "deploy/maestro-dashboard.json"},
    "service": {},
}
"""Name → template → where it goes. `env` and `service` are made otherwise."""
NEXT = {
    "ci-gitlab": "Keep a pipeline that you have, and include this one in it.",
    "compose": "maestro secrets generate && docker compose up --wait",
    "env": "maestro secrets generate",
    "pre-commit": "pip install pre-commit && pre-commit install",
    "service": "maestro demo shows it at work",
}
_SKIPPED = frozenset({"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", "reports", "certs"})


@dataclass(frozen=True, slots=True)
class Words:
    """What stands for the placeholders: the service's name, its environment, the folder, and maestro's own path."""

    service: str
    environment: str
    folder: str
    maestro: str

    def fill(self, text: str) -> str:
        """A template with its placeholders replaced."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.service.lower()).strip("-")[:40] or "service"
        plain = re.sub(r"[^\w .@-]", "", self.service)  # it lands in YAML, JSON and unit files
        for name, value in (
            ("__SLUG__", slug),
            ("__SERVICE__", plain),
            ("__ENVIRONMENT__", self.environment),
            ("__FOLDER__", self.folder),
            ("__MAESTRO__", self.maestro),
        ):
            text = text.replace(name, value)
        return text


def extra_files(name: str, words: Words) -> Mapping[str, str]:
    """Path in the project → text, of one extra."""
    if name == "env":
        from maestro_cli.secrets.template import BUILT_IN

        return {".env.example": BUILT_IN}
    if name == "service":
        return _service()
    folder = _templates() / "init"
    return {
        target: words.fill((folder / source).read_text(encoding="utf-8")) for source, target in EXTRAS[name].items()
    }


def _templates() -> Path:
    import maestro_cli.templates

    return Path(str(maestro_cli.templates.__file__)).parent


def _service() -> dict[str, str]:
    """The reference service, as `maestro demo` runs it; with a maestro.yaml of its own."""
    folder = _templates() / "service"
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _SKIPPED & set(path.relative_to(folder).parts) and path.suffix != ".pyc"
    }
