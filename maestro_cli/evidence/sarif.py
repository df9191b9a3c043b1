"""SARIF 2.1.0, as bandit, semgrep, CodeQL, trivy, grype and gitleaks write it: which results stand, and how grave.

Source: OASIS SARIF 2.1.0, §3.14 (run), §3.20 (invocation), §3.27 (result), §3.58 (notification); GitHub, SARIF support
for code scanning (security-severity).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from maestro_cli.evidence.documents import UnbelievableError, moment

LEVELS = ("none", "note", "warning", "error")
ABOUT_DEPENDENCIES = (
    "trivy",
    "grype",
    "osv",
    "snyk",
    "dependency-check",
    "pip-audit",
    "docker scout",
    "anchore",
    "clair",
)
"""Names of tools whose results are about dependencies; those of all others are about the code."""
ABOUT_SECRETS = ("gitleaks", "trufflehog", "detect-secrets", "ggshield", "whispers")
"""Names of tools that look for committed secrets. They state no level, and each secret that is out is grave."""
_GRAVE = 7.0
"""GitHub's `security-severity` from which a result counts as high."""


@dataclass(frozen=True, slots=True)
class Result:
    """One finding of a tool."""

    tool: str
    rule: str
    level: str
    message: str
    place: str

    @property
    def words(self) -> str:
        """`app.py:12: message`."""
        return f"{self.place}: {self.message}" if self.place else self.message


@dataclass
class Scan:
    """What a SARIF file says.

    Attributes:
        tools: Names of the tools that ran.
        results: Findings that stand: not suppressed, not of a baseline that is gone.
        suppressed: How many were suppressed.
        unseen: Files that a tool says it could not scan, with its reason.
        ended: When the last invocation ended, where it says so.
        commit: The revision that was scanned, where it says so.
    """

    tools: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    suppressed: int = 0
    unseen: list[str] = field(default_factory=list)
    ended: datetime | None = None
    commit: str | None = None

    @property
    def about_dependencies(self) -> bool:
        """Whether every tool in it looks at dependencies."""
        return bool(self.tools) and all(_about_dependencies(tool) for tool in self.tools)


def _about_dependencies(tool: str) -> bool:
    return any(name in tool.lower() for name in ABOUT_DEPENDENCIES)


def parse_sarif(name: str, document: Any) -> Scan:
    """Read a SARIF document.

    Raises:
        UnbelievableError: When it is none, holds no run, or a run that did not take place or did not succeed.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("runs"), list):
        raise UnbelievableError(name, "is no SARIF file")
    if document.get("version") not in ("2.1.0", None):
        raise UnbelievableError(name, f"is SARIF {str(document['version'])[:10]}, not 2.1.0")
    if not document["runs"]:
        raise UnbelievableError(name, "holds no run of any tool")
    scan = Scan()
    for run in document["runs"]:
        if not isinstance(run, Mapping):
            raise UnbelievableError(name, "is no SARIF file")
        _read_run(name, run, scan)
    return scan


def _read_run(name: str, run: Mapping[str, Any], scan: Scan) -> None:
    driver = _mapping(_mapping(run.get("tool")).get("driver"))
    tool = str(driver.get("name") or "")
    if not tool:
        raise UnbelievableError(name, "names no tool")
    scan.tools.append(tool)
    if not isinstance(run.get("results"), list):
        # §3.14.23: an absent or null array means that no scan took place; an empty one that nothing was found.
        raise UnbelievableError(name, f"says that {tool} has not scanned")
    for invocation in _mappings(run.get("invocations")):
        if invocation.get("executionSuccessful") is False:
            raise UnbelievableError(name, f"says that {tool} did not succeed")
        _read_notifications(name, tool, invocation, scan)
        ended = moment(invocation.get("endTimeUtc"))
        if ended is not None and (scan.ended is None or ended < scan.ended):
            scan.ended = ended
    for provenance in _mappings(run.get("versionControlProvenance")):
        revision = provenance.get("revisionId")
        scan.commit = revision if isinstance(revision, str) else scan.commit
    if _scanned_lines(run) == 0:
        raise UnbelievableError(name, f"says that {tool} has scanned not a line")
    rules = _Rules(_mapping(run.get("tool")))
    for result in _mappings(run["results"]):
        _read_result(result, rules, tool, scan)


def _read_notifications(name: str, tool: str, invocation: Mapping[str, Any], scan: Scan) -> None:
    """Tools say `executionSuccessful` and tell here what they stumbled over: a file (§3.58.5), or the whole scan."""
    for key in ("toolExecutionNotifications", "toolConfigurationNotifications"):
        for row in _mappings(invocation.get(key)):
            if row.get("level", "warning") != "error":
                continue
            said = _text(_mapping(row.get("message"))) or "no reason given"
            place = _place(row)
            if not place:
                raise UnbelievableError(name, f"says that {tool} had an error: {said}")
            scan.unseen.append(f"{place}: {said}")


def _scanned_lines(run: Mapping[str, Any]) -> Any:
    """Bandit's own count of the lines that it read; None where no such thing is written."""
    metrics = _mapping(_mapping(run.get("properties")).get("metrics"))
    return _mapping(metrics.get("_totals")).get("loc")


class _Rules:
    """The rules of a run, by the ways in which a result may name one (§3.27.5 to §3.27.7)."""

    def __init__(self, tool: Mapping[str, Any]) -> None:
        self._driver = _mappings(_mapping(tool.get("driver")).get("rules"))
        self._extensions = [_mappings(row.get("rules")) for row in _mappings(tool.get("extensions"))]
        self._by_id = {str(rule.get("id")): rule for rules in (*self._extensions, self._driver) for rule in rules}

    def of(self, result: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """A result's rule and the id to show; the id may be the rule's with `/` and more behind it."""
        reference = _mapping(result.get("rule"))
        named = str(result.get("ruleId") or reference.get("id") or "")
        rule = self._by_id.get(named) or self._by_id.get(named.rpartition("/")[0])
        if rule is None:
            rule = self._at(reference, result.get("ruleIndex", reference.get("index")))
        return named or str(rule.get("id") or "unnamed rule"), rule

    def _at(self, reference: Mapping[str, Any], index: Any) -> Mapping[str, Any]:
        extension = _mapping(reference.get("toolComponent")).get("index")
        rules = self._driver
        if isinstance(extension, int) and 0 <= extension < len(self._extensions):
            rules = self._extensions[extension]
        return rules[index] if isinstance(index, int) and 0 <= index < len(rules) else {}


def _read_result(result: Mapping[str, Any], rules: _Rules, tool: str, scan: Scan) -> None:
    if result.get("kind", "fail") != "fail" or result.get("baselineState") == "absent":
        return
    if any(row.get("status", "accepted") == "accepted" for row in _mappings(result.get("suppressions"))):
        scan.suppressed += 1
        return
    identifier, rule = rules.of(result)
    message = _mapping(result.get("message"))
    strings = _mapping(rule.get("messageStrings"))
    scan.results.append(
        Result(
            tool,
            identifier,
            _level(result, rule, tool),
            _text(message)
            or _text(_mapping(strings.get(str(message.get("id")))))
            or str(message.get("id") or "")[:200],
            _place(result),
        )
    )


def _level(result: Mapping[str, Any], rule: Mapping[str, Any], tool: str) -> str:
    for holder in (_mapping(result.get("properties")), _mapping(rule.get("properties"))):
        try:
            grave = float(holder.get("security-severity", "")) >= _GRAVE
        except (TypeError, ValueError):
            continue
        return "error" if grave else "warning"
    unstated = "error" if any(name in tool.lower() for name in ABOUT_SECRETS) else "warning"
    level = result.get("level") or _mapping(rule.get("defaultConfiguration")).get("level") or unstated
    return level if level in LEVELS else unstated


def _text(message: Mapping[str, Any]) -> str:
    return " ".join(str(message.get("text") or "").split())[:200]


def _place(result: Mapping[str, Any]) -> str:
    for location in _mappings(result.get("locations")):
        physical = _mapping(location.get("physicalLocation"))
        uri = _mapping(physical.get("artifactLocation")).get("uri")
        line = _mapping(physical.get("region")).get("startLine")
        if isinstance(uri, str):
            return f"{uri[:200]}:{line}" if isinstance(line, int) else uri[:200]
    return ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
