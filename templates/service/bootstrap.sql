-- Three roles and the database; run once, by a database administrator, with psql's variables set:
--   psql -v owner_password=… -v app_password=… -v scratch_password=… -f bootstrap.sql
-- maestro_owner owns the tables and runs migrations; maestro_app is what the service connects as: it owns nothing, can't
-- bypass row-level security, and can't create anything. The owner may become it: `maestro migrate verify` proves the
-- isolation as the service's role. maestro_scratch makes databases of its own, in which restores and rollbacks are rehearsed.
CREATE ROLE maestro_owner LOGIN PASSWORD :'owner_password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
CREATE ROLE maestro_app LOGIN PASSWORD :'app_password' NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
CREATE ROLE maestro_scratch LOGIN PASSWORD :'scratch_password' NOSUPERUSER CREATEDB NOCREATEROLE NOBYPASSRLS;
GRANT maestro_app TO maestro_owner;
CREATE DATABASE maestro_ml OWNER maestro_owner;
REVOKE ALL ON DATABASE maestro_ml FROM PUBLIC;
GRANT CONNECT ON DATABASE maestro_ml TO maestro_app;
