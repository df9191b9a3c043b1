"""The fault matrix: which checks each planted fault turns red. Everything else must stay as it was.

`REFERENCE` faults are planted in the reference service, `OUTSIDE` ones in its database and its Valkey; `TLS` and those of
`other_service` have services of their own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Turns:
    """What a fault does.

    Attributes:
        red: Ids of the checks that fail.
        unmeasured: Ids of those that can't be measured then, and say so: never a pass.
        warned: Ids of those that warn.
    """

    red: tuple[str, ...]
    unmeasured: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()

    def as_statuses(self) -> dict[str, str]:
        """Check → status."""
        return {
            **dict.fromkeys(self.red, "fail"),
            **dict.fromkeys(self.unmeasured, "error"),
            **dict.fromkeys(self.warned, "warn"),
        }


def turns(*red: str, unmeasured: tuple[str, ...] = (), warned: tuple[str, ...] = ()) -> Turns:
    return Turns(red, unmeasured, warned)


BEHIND_TOKENS = (
    "security.cookie-session",
    "security.jwt-alg-none",
    "security.jwt-audience",
    "security.jwt-embedded-key",
    "security.jwt-key-confusion",
    "security.jwt-key-url",
    "security.jwt-kid-path",
    "security.jwt-signature",
    "security.jwt-time",
    "security.jwt-weak-key",
    "security.revocation",
    "security.token-type",
    "security.write-authentication",
)
"""Where nobody looks at tokens, nothing can be said of how they are looked at."""
BEHIND_SIGNATURES = (
    "security.jwt-alg-none",
    "security.jwt-embedded-key",
    "security.jwt-key-confusion",
    "security.jwt-key-url",
    "security.jwt-kid-path",
)

REFERENCE: dict[str, Turns] = {
    "anonymous-accepted": turns("readiness.authentication", unmeasured=(*BEHIND_TOKENS, "security.revocation-ttl")),
    "anonymous-writes": turns("security.write-authentication"),
    "jwt-alg-none": turns("security.jwt-alg-none"),
    "jwt-signature-unchecked": turns("security.jwt-signature", unmeasured=BEHIND_SIGNATURES),
    "jwt-signature-optional": turns("security.jwt-alg-none", "security.jwt-signature"),
    "jwt-weak-key": turns(
        "security.jwt-weak-key",
        unmeasured=(
            "security.jwt-audience",
            "security.jwt-time",
        ),
    ),
    "jwt-expired-accepted": turns("security.jwt-time"),
    "jwt-skew-large": turns("security.jwt-time"),
    "jwt-nbf-ignored": turns("security.jwt-time"),
    "jwt-exp-optional": turns(warned=("security.jwt-time",)),
    "jwt-audience-ignored": turns("security.jwt-audience"),
    "jwt-audience-optional": turns("security.jwt-audience"),
    "jwt-issuer-ignored": turns("security.jwt-audience"),
    "jwt-issuer-optional": turns("security.jwt-audience"),
    "jwt-access-long-lived": turns("readiness.token-settings", "security.token-lifetime"),
    "jwt-jwk-trusted": turns("security.jwt-embedded-key"),
    "jwt-jku-trusted": turns("security.jwt-key-url"),
    "jwt-kid-path": turns("security.jwt-kid-path"),
    "jwt-refresh-as-access": turns("security.token-type"),
    "jwt-access-as-refresh": turns("security.refresh-rotation", "security.revocation", "security.token-type"),
    "refresh-reusable": turns("security.refresh-rotation"),
    "refresh-family-survives": turns("security.refresh-rotation"),
    "refresh-long-lived": turns("security.token-lifetime"),
    "logout-noop": turns("security.revocation", unmeasured=("security.revocation-ttl",)),
    "logout-forgotten-by-writes": turns("security.write-authentication"),
    "logout-keeps-refresh": turns("security.revocation"),
    "blacklist-ttl-short": turns("security.revocation-ttl"),
    "blacklist-ttl-none": turns("security.revocation-ttl"),
    "cors-any-origin": turns("security.cors", "security.cors-bypass"),
    "cors-wildcard": turns("security.cors", "security.cors-bypass"),
    "cors-null-origin": turns("security.cors-bypass"),
    "cors-prefix-match": turns("security.cors-bypass"),
    "cors-suffix-match": turns("security.cors-bypass"),
    "cors-http-twin": turns("security.cors-bypass"),
    "cors-origin-missing": turns("security.cors", unmeasured=("security.cors-bypass",)),
    "cors-preflight-refused": turns("security.cors"),
    "rate-limit-off": turns("security.rate-limit", unmeasured=("security.rate-limit-bypass",)),
    "rate-limit-high": turns("security.rate-limit", unmeasured=("security.rate-limit-bypass",)),
    "rate-limit-low": turns("security.rate-limit"),
    "rate-limit-no-retry-after": turns("security.rate-limit"),
    "rate-limit-forwarded-for": turns("security.rate-limit-bypass"),
    "rate-limit-real-ip": turns("security.rate-limit-bypass"),
    "rate-limit-forwarded": turns("security.rate-limit-bypass"),
    "enumeration-status": turns("security.user-enumeration"),
    "enumeration-message": turns("security.user-enumeration"),
    "enumeration-timing": turns("security.user-enumeration"),
    "rbac-off": turns("security.role-limits"),
    "inactive-accepted": turns("security.inactive-account"),
    "header-missing-hsts": turns("readiness.https", "security.headers"),
    "header-short-hsts": turns("readiness.https", "security.headers"),
    "header-missing-nosniff": turns("security.headers"),
    "header-missing-csp": turns("security.headers"),
    "header-weak-csp": turns("security.headers"),
    "header-missing-referrer-policy": turns(warned=("security.headers",)),
    "header-missing-frame-options": turns("security.headers"),
    "header-missing-cache-control": turns(warned=("security.headers",)),
    "headers-missing-on-401": turns("security.headers"),
    "headers-missing-on-404": turns("security.headers"),
    "cookie-not-secure": turns("security.cookies"),
    "cookie-not-httponly": turns("security.cookies"),
    "cookie-no-samesite": turns("security.cookies"),
    "trace-echo": turns("security.exposure"),
    "git-exposed": turns("security.exposure"),
    "env-exposed": turns("security.exposure"),
    "metrics-open": turns("security.exposure"),
    "debug-errors": turns("security.malformed-body"),
    "docs-open": turns("readiness.environment", warned=("security.exposure",)),
    "server-banner": turns(warned=("security.exposure",)),
    "malformed-500": turns("security.malformed-body"),
    "tenant-header-believed": turns("security.tenant-spoofing"),
    "tenant-query-believed": turns("security.tenant-spoofing"),
    "tenant-cookie-believed": turns("security.tenant-spoofing"),
    "tenant-list-leaks": turns("security.tenant-list"),
    "tenant-read-leaks": turns("security.tenant-read", unmeasured=("security.tenant-spoofing",)),
    "tenant-update-leaks": turns("security.tenant-write"),
    "tenant-delete-leaks": turns("security.tenant-write"),
    "health-lies": turns("health.dependencies"),
    "health-remembered": turns("health.dependencies"),
    "health-500": turns("health.api"),
    "health-unavailable": turns("health.api"),
}

UNSEEN: dict[str, str] = {
    "header-missing-corp": "MDN's Observatory takes no points for it, and an answer of JSON to a token needs it least",
    "headers-missing-on-500": "only together with an answer of 500; see COMBINED",
    "password-weak-rounds": "planted when the accounts are made; see test_checks_login.py and test_demo.py",
    "password-md5": "the same",
    "password-plaintext": "the same",
}
"""Faults of the reference service that this matrix does not look for, and why."""

COMBINED: dict[tuple[str, ...], Turns] = {
    ("headers-missing-on-500", "malformed-500"): turns("security.headers", "security.malformed-body"),
    ("jwt-alg-none", "logout-noop", "tenant-list-leaks"): turns(
        "security.jwt-alg-none",
        "security.revocation",
        "security.tenant-list",
        unmeasured=("security.revocation-ttl",),
    ),
}

SLOW: dict[str, Turns] = {"health-slow": turns("health.api")}
"""Seen with a budget of latency; the others are run without one, for what is slow there is the machine."""

RESTARTED: dict[str, Turns] = {"tenant-body-believed": turns("security.tenant-spoofing")}
"""Read when the service's modules are imported, so the service is started anew for them."""


@dataclass(frozen=True)
class Outside:
    """A fault in the database or in Valkey, how it is planted and taken away, and what it turns."""

    plant: tuple[str, ...]
    undo: tuple[str, ...]
    turns: Turns


TABLES = ("projects", "artifacts", "artifact_usage", "team_members", "process_metrics", "predictions")
SECOND = "5b2c2a6e-0d6c-4f0b-9a58-6f1f3a9b7c21"
NOBODY = "00000000-0000-4000-8000-000000000001"
_CROSSING = (
    "INSERT INTO team_members (id, tenant_id, project_id, role, experience_level) "
    f"SELECT '{NOBODY}', '{SECOND}', id, 'maestro-fault', 'senior' FROM projects LIMIT 1"
)
_ORPHAN = (
    "INSERT INTO projects (id, tenant_id, name, problem_class, complexity_score, team_size, start_date) "
    f"VALUES ('{NOBODY}', '{NOBODY}', 'maestro-fault', 'x', 1, 1, current_date)"
)

DATABASE: dict[str, Outside] = {
    "rls-disabled": Outside(
        ("ALTER TABLE projects DISABLE ROW LEVEL SECURITY",),
        ("ALTER TABLE projects ENABLE ROW LEVEL SECURITY",),
        turns("security.multi-tenancy", "security.tenant-rls"),
    ),
    "rls-off": Outside(
        tuple(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY" for table in TABLES),
        tuple(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY" for table in TABLES),
        turns("security.multi-tenancy", "security.tenant-rls"),
    ),
    "rls-policy-too-wide": Outside(
        ("CREATE POLICY maestro_fault ON artifacts USING (true) WITH CHECK (true)",),
        ("DROP POLICY maestro_fault ON artifacts",),
        turns("security.tenant-rls"),
    ),
    "rls-without-check": Outside(
        ("CREATE POLICY maestro_fault ON artifacts FOR INSERT WITH CHECK (true)",),
        ("DROP POLICY maestro_fault ON artifacts",),
        turns("security.tenant-rls"),
    ),
    "rls-delete-open": Outside(
        ("CREATE POLICY maestro_fault ON artifacts FOR DELETE USING (true)",),
        ("DROP POLICY maestro_fault ON artifacts",),
        turns("security.tenant-rls"),
    ),
    "rls-view-around": Outside(
        ("CREATE VIEW maestro_fault AS SELECT * FROM projects", "GRANT SELECT ON maestro_fault TO maestro_app"),
        ("DROP VIEW maestro_fault",),
        turns("security.tenant-rls"),
    ),
    "rls-function-around": Outside(
        ("CREATE FUNCTION maestro_fault() RETURNS SETOF projects LANGUAGE sql SECURITY DEFINER AS 'TABLE projects'",),
        ("DROP FUNCTION maestro_fault()",),
        turns(warned=("security.tenant-rls",)),
    ),
    "rls-table-unnamed": Outside(
        (
            "CREATE TABLE maestro_fault AS SELECT tenant_id, name FROM projects",
            "GRANT SELECT ON maestro_fault TO maestro_app",
        ),
        ("DROP TABLE maestro_fault",),
        turns("security.tenant-rls"),
    ),
    "rls-tenant-preset": Outside(
        (f"ALTER ROLE maestro_app SET app.tenant_id = '{NOBODY}'",),
        ("ALTER ROLE maestro_app RESET app.tenant_id",),
        turns("security.tenant-rls"),
    ),
    "app-role-may-become-another": Outside(
        ("CREATE ROLE maestro_fault NOLOGIN BYPASSRLS", "GRANT maestro_fault TO maestro_app"),
        ("DROP ROLE maestro_fault",),
        turns("security.postgres-role"),
    ),
    "app-role-may-truncate": Outside(
        ("GRANT TRUNCATE ON projects TO maestro_app",),
        ("REVOKE TRUNCATE ON projects FROM maestro_app",),
        turns(warned=("security.postgres-role",)),
    ),
    "app-role-bypasses-rls": Outside(
        ("ALTER ROLE maestro_app BYPASSRLS",),
        ("ALTER ROLE maestro_app NOBYPASSRLS",),
        turns("security.postgres-role", "security.tenant-rls"),
    ),
    "postgres-superuser": Outside(
        ("ALTER ROLE maestro_app SUPERUSER",),
        ("ALTER ROLE maestro_app NOSUPERUSER",),
        turns("security.postgres-role", "security.tenant-rls"),
    ),
    "postgres-create-on-public": Outside(
        ("GRANT CREATE ON SCHEMA public TO maestro_app",),
        ("REVOKE CREATE ON SCHEMA public FROM maestro_app",),
        turns("security.postgres-role"),
    ),
    "postgres-server-programs": Outside(
        ("GRANT pg_execute_server_program TO maestro_app",),
        ("REVOKE pg_execute_server_program FROM maestro_app",),
        turns("security.postgres-role"),
    ),
    "tenant-unique-oracle": Outside(
        ("CREATE UNIQUE INDEX maestro_fault ON projects (name, start_date)",),
        ("DROP INDEX maestro_fault",),
        turns("security.tenant-constraints"),
    ),
    "tenant-exclusion-oracle": Outside(
        ("ALTER TABLE projects ADD CONSTRAINT maestro_fault EXCLUDE USING btree (name WITH =)",),
        ("ALTER TABLE projects DROP CONSTRAINT maestro_fault",),
        turns("security.tenant-constraints"),
    ),
    "tenant-row-crosses": Outside(
        # As a restore or a replica does it, which check no foreign key.
        ("ALTER TABLE team_members DISABLE TRIGGER ALL", _CROSSING, "ALTER TABLE team_members ENABLE TRIGGER ALL"),
        (f"DELETE FROM team_members WHERE id = '{NOBODY}'",),
        turns("security.tenant-orphans"),
    ),
    "tenant-row-orphaned": Outside(
        (
            "ALTER TABLE projects DISABLE TRIGGER ALL",
            _ORPHAN,
            "ALTER TABLE projects ENABLE TRIGGER ALL",
            "ALTER TABLE projects DISABLE ROW LEVEL SECURITY",
        ),
        (f"DELETE FROM projects WHERE id = '{NOBODY}'", "ALTER TABLE projects ENABLE ROW LEVEL SECURITY"),
        turns("security.multi-tenancy", "security.tenant-orphans", "security.tenant-rls"),
    ),
    "viewer-promoted": Outside(
        ("UPDATE users SET role = 'admin' WHERE email = 'viewer@example.test'",),
        ("UPDATE users SET role = 'viewer' WHERE email = 'viewer@example.test'",),
        turns("security.role-limits"),
    ),
    "inactive-account-active": Outside(
        ("UPDATE users SET is_active = true WHERE email = 'inactive@example.test'",),
        ("UPDATE users SET is_active = false WHERE email = 'inactive@example.test'",),
        turns("security.inactive-account"),
    ),
    "replication-slot-abandoned": Outside(
        ("SELECT pg_create_physical_replication_slot('maestro_fault', true)",),
        ("SELECT pg_drop_replication_slot('maestro_fault')",),
        turns("health.replication-lag"),
    ),
    "replication-slot-lost": Outside(
        (
            "SELECT pg_create_physical_replication_slot('maestro_fault', true)",
            "ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'",
            "SELECT pg_reload_conf()",
            *("SELECT pg_logical_emit_message(false, 'maestro', 'x')", "SELECT pg_switch_wal()") * 3,
            "CHECKPOINT",
        ),
        (
            "SELECT pg_drop_replication_slot('maestro_fault')",
            "ALTER SYSTEM RESET max_slot_wal_keep_size",
            "SELECT pg_reload_conf()",
        ),
        turns("health.replication-lag"),
    ),
}

_ORDINARY = (
    "ACL SETUSER app -@all +@read +@write +@connection +@transaction -@dangerous +ping +info +acl|whoami +acl|dryrun"
)
_OFF = "ACL SETUSER default reset"
VALKEY: dict[str, Outside] = {
    "redis-no-password": Outside(("ACL SETUSER default on nopass ~* +@all",), (_OFF,), turns("security.redis-auth")),
    "redis-default-password": Outside(
        ("ACL SETUSER default on >redis ~* +@all",), (_OFF,), turns("security.redis-auth")
    ),
    "redis-user-may-everything": Outside(("ACL SETUSER app +@all",), (_ORDINARY,), turns("security.redis-acl")),
    "redis-user-may-config": Outside(("ACL SETUSER app +config",), (_ORDINARY,), turns("security.redis-acl")),
}

TLS: dict[str, tuple[str, str]] = {
    "tls-10-taken": ("security.tls-versions", "fail"),
    "tls-11-taken": ("security.tls-versions", "fail"),
    "tls-null-suite": ("security.tls-suites", "fail"),
    "tls-anonymous-suite": ("security.tls-suites", "fail"),
    "tls-static-rsa": ("security.tls-suites", "warn"),
    "tls-cbc-alone": ("security.tls-suites", "warn"),
}
"""Planted in a TLS server by test_probes_tls.py."""

POSTGRES_TLS = ("postgres-without-tls", "postgres-plain-taken")
"""Planted in a PostgreSQL of its own by test_probes_postgres_tls.py."""

ELSEWHERE: dict[str, str] = {
    "api-certificate-untrusted": "test_checks_api.py::test_an_api_whose_certificate_is_not_trusted",
    "postgres-slow": "test_checks_health_servers.py::test_postgres_slow",
    "postgres-end-of-life": "test_checks_health_servers.py::test_postgres_past_its_last_fix",
    "postgres-port-taken": "test_checks_health_servers.py::test_postgres_up_with_another_server_on_the_port_fails",
    "postgres-starting-up": "test_checks_health_servers.py::test_postgres_up_that_is_starting_fails",
    "table-missing": "test_checks_health_servers.py::test_query_with_nothing_to_read_fails",
    "schema-empty": "test_checks_health_servers.py::test_query_with_nothing_to_read_fails",
    "table-locked": "test_checks_health_servers.py::test_query_on_a_locked_table_fails_in_bounded_time",
    "redis-slow": "test_checks_health_servers.py::test_redis_slow",
    "redis-end-of-life": "test_checks_health_servers.py::test_redis_past_its_last_fix",
    "restore-fails": "test_checks_restore.py::test_a_dump_that_cannot_be_restored",
    "restore-table-missing": "test_checks_restore.py::test_a_dump_without_one_of_the_tables",
    "restore-rows-missing": "test_checks_restore.py::test_a_dump_without_the_rows",
    "restore-too-slow": "test_checks_restore.py::test_a_restore_that_takes_too_long",
    "migration-irreversible": "test_checks_rollback.py::test_a_migration_that_cannot_go_down",
    "migration-leaves-type": "test_checks_rollback.py::test_a_type_that_stays_behind",
    "migration-downgrade-empty": "test_checks_rollback.py::test_a_downgrade_that_does_nothing",
    "migration-comes-back-different": "test_checks_rollback.py::test_a_schema_that_comes_back_different",
    **dict.fromkeys(
        ("shutdown-drops-requests", "shutdown-signal-ignored", "shutdown-hangs", "shutdown-fails"),
        "test_checks_shutdown.py::test_a_service_that_does_not_end_in_order",
    ),
    "wal-archive-off": "test_checks_database_upkeep.py::test_an_archive_that_is_off",
    "wal-archive-failing": "test_checks_database_upkeep.py::test_an_archive_command_that_fails",
    "wal-archive-without-command": "test_checks_database_upkeep.py::test_an_archive_command_that_is_empty",
    "wal-archive-stale": "test_checks_database_upkeep.py::test_an_archive_that_is_stale",
    "standby-replay-paused": "test_checks_database_upkeep.py::test_a_standby_that_stands_still",
    "standby-far-behind": "test_checks_database_upkeep.py::test_a_standby_that_stands_still",
    "standby-without-primary": "test_checks_database_upkeep.py::test_a_standby_without_its_primary",
    "disk-full": "test_checks_database_upkeep.py::test_a_disk_without_room",
    "disk-of-the-log-full": "test_checks_database_upkeep.py::test_a_disk_of_the_log_without_room",
    "redis-port-taken": "test_checks_health_servers.py::test_redis_up_with_another_server_on_the_port_fails",
    "redis-loading": "test_checks_health_servers.py::test_redis_that_is_loading_fails",
    "any-password-accepted": "test_checks_login.py::test_logging_in_where_it_should_not_work",
    "connections-used-up": "test_checks_database.py::test_connections_of_a_database_that_has_a_limit",
    "role-connection-limit": "test_checks_database.py::test_connections_of_a_role_that_has_a_limit",
    **dict.fromkeys(
        ("coverage-low", "coverage-empty", "coverage-truncated"),
        "test_checks_evidence_files.py::test_coverage_that_falls_short_fails",
    ),
    "dependency-vulnerable": "test_checks_evidence_of_tools.py::test_pip_audit",
    **dict.fromkeys(
        ("audit-missing", "audit-stale", "audit-empty", "audit-truncated", "audit-failed", "audit-foreign-commit"),
        "test_checks_evidence_of_tools.py::test_an_audit_that_proves_nothing_never_passes",
    ),
    "readme-section-missing": "test_checks_project_files.py::test_a_readme_with_a_gap_fails",
    "readme-section-empty": "test_checks_project_files.py::test_a_readme_with_a_gap_fails",
    "environment-misnamed": "test_checks_configuration.py::test_variables_by_environment",
    "debug-on": "test_checks_configuration.py::test_variables_by_environment",
    "api-over-http": "test_checks_login.py::test_an_api_in_the_clear",
    "http-answered-in-the-clear": "test_checks_login.py::test_plain_http_at_the_same_port",
    **dict.fromkeys(
        ("load-too-slow", "load-errors", "load-throughput-low"),
        "test_checks_evidence_of_tools.py::test_every_tools_result_is_held_against_its_budgets",
    ),
    **dict.fromkeys(
        ("load-empty", "load-truncated", "load-foreign-commit"),
        "test_checks_evidence_of_tools.py::test_a_result_that_proves_nothing_never_passes",
    ),
    "load-missing": "test_checks_evidence_of_tools.py::test_a_missing_and_a_stale_result",
    "load-stale": "test_checks_evidence_of_tools.py::test_a_missing_and_a_stale_result",
    "migration-two-heads": "test_checks_migrations.py::test_two_heads",
    "migration-unknown": "test_checks_migrations.py::test_a_revision_that_the_scripts_do_not_know",
    "migration-never-run": "test_checks_migrations.py::test_no_migration_was_ever_run",
    "migration-broken": "test_checks_migrations.py::test_broken_scripts",
    "model-without-migration": "test_checks_migrations.py::test_a_model_without_a_migration",
    "critical-file-missing": "test_checks_project_files.py::test_a_pattern_without_a_file_fails",
    "pipeline-ignores-gate": "test_checks_project_files.py::test_a_pipeline_without_a_gate_that_holds_fails",
    "pipeline-broken": "test_checks_project_files.py::test_a_pipeline_without_a_gate_that_holds_fails",
    "redis-write-failed": "test_checks_database.py::test_redis_that_writes_nothing",
    "redis-memory-full": "test_checks_database.py::test_redis_that_forgets",
    "variable-missing": "test_checks_configuration.py::test_required_variables_that_are_not",
    **dict.fromkeys(
        ("setting-invalid", "settings-module-broken", "settings-loader-exits"),
        "test_checks_configuration.py::test_settings_that_do_not_load",
    ),
    "sarif-finding": "test_checks_evidence_of_tools.py::test_a_clean_scan_passes_and_results_count_by_their_level",
    **dict.fromkeys(
        ("sarif-empty", "sarif-truncated", "sarif-failed-run"),
        "test_checks_evidence_of_tools.py::test_a_scan_that_proves_nothing_never_passes",
    ),
    **dict.fromkeys(
        ("sarif-missing", "sarif-stale", "sarif-foreign-commit"),
        "test_checks_evidence_of_tools.py::test_stale_missing_and_foreign_scans",
    ),
    "tenant-index-invalid": "test_checks_tenancy.py::test_indexes_that_do_not_serve",
    "foreign-key-unvalidated": "test_checks_tenancy.py::test_indexes_that_do_not_serve",
    "junit-truncated": "test_checks_evidence_files.py::test_a_report_that_says_otherwise_fails",
    "junit-xml-bomb": "test_checks_evidence_files.py::test_a_report_that_says_otherwise_fails",
    "token-algorithm-differs": "test_checks_login.py::test_tokens_otherwise",
    "token-without-times": "test_checks_login.py::test_tokens_otherwise",
    "database-password-weak": "test_checks_database.py::test_a_weak_password",
    "database-trusts-everybody": "test_checks_database.py::test_a_server_that_trusts_everybody",
    "default-login-open": "test_checks_database.py::test_a_default_login_of_another_role",
    "env-file-symlink": "test_checks_secret_files.py::test_an_env_file_that_is_a_link",
    **dict.fromkeys(
        (
            "tenants-table-missing",
            "default-tenant-missing",
            "tenant-column-missing",
            "tenant-key-unvalidated",
            "rls-without-policy",
        ),
        "test_checks_tenancy.py::test_a_database_that_is_not",
    ),
    "secret-too-old": "test_checks_secret_files.py::test_weak_secrets",
    "certificate-of-another-host": "test_checks_secret_files.py::test_a_served_certificate_of_another_host",
    **dict.fromkeys(
        ("certificate-of-another-key", "key-too-short"),
        "test_checks_secret_files.py::test_broken_certificate_files",
    ),
    "certificate-missing": "test_checks_secret_files.py::test_no_certificate_at_all",
    "backup-missing": "test_probes_backups.py::test_backup_missing",
    "backup-stale": "test_probes_backups.py::test_backup_stale",
    "backup-empty": "test_probes_backups.py::test_backup_empty",
    "backup-truncated": "test_probes_backups.py::test_backup_truncated",
    "waiver-expired": "test_checks_project_files.py::test_waivers_by_their_date",
    "waiver-expired-among-others": "test_checks_project_files.py::test_waivers_by_their_date",
}
"""Faults that the tests of single checks plant → where."""
