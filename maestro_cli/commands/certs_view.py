"""How certificates look on a terminal."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maestro_cli.commands.columns import columns

if TYPE_CHECKING:
    from maestro_cli.certs.description import Described, Expiry, Inspection
    from maestro_cli.certs.plan import Outcome, Plan
    from maestro_cli.certs.renewal import Renewal
    from maestro_cli.certs.trust import Step
    from maestro_cli.certs.verification import Verification

_NAMES_SHOWN = 6
_MARKS = {"pass": "ok  ", "warn": "warn", "fail": "FAIL"}


def date(time: dt.datetime) -> str:
    """A day, as people write it in tables."""
    return f"{time:%Y-%m-%d}"


def names(hosts: Iterable[object]) -> str:
    """Names on one line; very many are counted."""
    shown = [str(host) for host in hosts]
    rest = len(shown) - _NAMES_SHOWN
    return ", ".join(shown[:_NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def outcome_text(outcome: Outcome) -> str:
    """What `generate` did."""
    about = {
        "ca.pem": "the CA, to be trusted",
        "ca-key.pem": "the CA's key: keep it to yourself",
        "intermediate.pem": "the CA that signs the others",
        "intermediate-key.pem": "its key",
        "csr.pem": "a signing request for the server's key",
        "cert.p12": "the server's pair and the CA, under your password",
        "k8s-secret.yaml": "a manifest with the private key: kubectl apply -f",
    }
    for issued in outcome.issued:
        about[issued.files.certificate] = f"{issued.purpose}: {names(issued.hosts)}; until {date(issued.not_after)}"
        about[issued.files.key] = f"the {issued.purpose}'s private key"
        about[issued.files.pkcs12] = "both and the CA, under your password"
        if issued.files.fullchain:
            about[issued.files.fullchain] = "the same with its chain: what a server is given"
    rows = [(str(outcome.directory / name), about.get(name, "")) for name in outcome.written if name != ".gitignore"]
    rows += [(str(outcome.directory / kept), f"{name} as it was") for name, kept in outcome.backups.items()]
    return columns(rows)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """What `generate` did, as plain data; no key is in it."""
    return {
        "directory": str(outcome.directory),
        "new_ca": outcome.new_ca,
        "written": list(outcome.written),
        "backups": outcome.backups,
        "certificates": [
            {
                "purpose": issued.purpose,
                "names": [str(host) for host in issued.hosts],
                "not_after": issued.not_after.isoformat(),
                "certificate": str(outcome.directory / issued.files.certificate),
                "key": str(outcome.directory / issued.files.key),
                "fullchain": str(outcome.directory / (issued.files.fullchain or issued.files.certificate)),
            }
            for issued in outcome.issued
        ],
        "warnings": list(outcome.warnings),
    }


def plan_text(directory: Path, plan: Plan) -> str:
    """What `generate` would do."""
    rows = [
        (str(directory / name), "would be replaced" if (directory / name).exists() else "would be made")
        for name in plan.files
    ]
    return columns(rows) if rows else "Nothing would be written."


def inspection_text(inspection: Inspection) -> str:
    """What a source holds."""
    parts = [inspection.source + (f"   ({inspection.connection})" if inspection.connection else "")]
    parts += [_certificate(described) for described in inspection.certificates]
    if inspection.key is not None:
        key = inspection.key
        rows = [("private key", key.key), ("mode", key.mode), ("public half", f"sha256 {key.public_key_sha256}")]
        parts.append(columns([*rows, *_problems(key.problems)]))
    if inspection.request is not None:
        request = inspection.request
        proof = "proves that its sender has the key" if request.signature_valid else "WRONG"
        rows = [
            ("request for", names(request.names)),
            ("subject", request.subject or "(empty)"),
            ("key", request.key),
            ("signature", proof),
        ]
        parts.append(columns([*rows, *_problems(request.problems)]))
    return "\n\n".join(parts)


def _certificate(described: Described) -> str:
    left = f"{described.days_left} days left" if described.days_left >= 0 else f"over for {-described.days_left} days"
    rows = [
        (described.kind, names(described.names) or described.subject),
        ("subject", described.subject or "(empty)"),
        ("issuer", described.issuer),
        ("key", f"{described.key}, signed with {described.signature}"),
        (
            "life",
            f"{date(described.not_before)} to {date(described.not_after)}: {left}, {described.life_used:.0%} over",
        ),
        ("serial", described.serial),
        ("sha256", described.sha256),
        ("key's sha256", described.public_key_sha256),
    ]
    if described.constraints:
        rows.append(("bound to", ", ".join(described.constraints)))
    return columns([*rows, *_problems(described.problems)])


def _problems(problems: Iterable[Any]) -> list[tuple[str, str]]:
    rows = [(found.severity, f"{found.message}  [{found.rule}: {found.source}]") for found in problems]
    return rows or [("rules", "all kept")]


def expiry_text(found: Iterable[Expiry]) -> str:
    """Days left, soonest first."""
    rows = [(str(one.days_left), date(one.not_after), one.name, one.source) for one in found]
    return columns([("days", "ends", "for", "file"), *rows])


def verification_text(verification: Verification) -> str:
    """Every finding, and in one line whether it holds."""
    rows = [
        (_MARKS[one.status], one.subject, one.message + (f"  [{one.check}: {one.source}]" if one.source else ""))
        for one in verification.findings
    ]
    failed = sum(one.status == "fail" for one in verification.findings)
    summary = f"{verification.target}: " + ("holds." if not failed else f"{failed} of {len(rows)} findings fail.")
    return columns(rows) + "\n\n" + summary


def renewal_json(renewal: Renewal, hook: str | None) -> dict[str, Any]:
    """What `renew` did, as plain data."""
    return {
        "directory": str(renewal.directory),
        "renewed": [one.certificate for one in renewal.renewed],
        "certificates": [
            {
                "certificate": one.certificate,
                "not_after": (one.new_end or one.old_end).isoformat(),
                "was": one.old_end.isoformat(),
                "renewed": one.new_end is not None,
            }
            for one in renewal.certificates
        ],
        "hook": hook,
        "warnings": list(renewal.warnings),
    }


def trust_text(steps: Sequence[Step], hints: dict[str, str], *, undo: bool, command: Any) -> str:
    """The commands, ready to be copied, and what programs can be told instead."""
    lines: list[str] = []
    for step in steps:
        lines.append(f"# {step.store}: {step.title}")
        lines += [command(step, arguments) for arguments in (step.remove if undo else step.add)]
        lines.append("")
    if not undo:
        lines.append("# or for one program at a time:")
        lines += [f"#   {program}: {hint}" for program, hint in hints.items()]
    return "\n".join(lines)
