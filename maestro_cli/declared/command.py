"""`command:` a command's exit status and output."""

from __future__ import annotations

from maestro_cli.api import Context, Finding
from maestro_cli.config.declared import CommandSubject
from maestro_cli.declared import Stop
from maestro_cli.declared.judgement import Judgement
from maestro_cli.declared.programs import run, words_of


def observe(subject: CommandSubject, ctx: Context, stop: Stop) -> Finding:
    """Run it and compare."""
    ended = run(subject, ctx, stop)
    judgement = Judgement()
    judgement.expect("exit status", ended.status, subject.exit_status)
    judgement.expect("stdout", ended.stdout, subject.stdout)
    judgement.expect("stderr", ended.stderr, subject.stderr)
    if judgement.wrong and subject.stderr is None and ended.stderr.strip():
        judgement.saw("stderr", ended.stderr)
    judgement.took(ended.elapsed_s, subject)
    return judgement.finding(f"{words_of(subject)[0]} answers as expected")
