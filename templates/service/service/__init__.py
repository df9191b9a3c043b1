"""A small multi-tenant API on PostgreSQL and Redis, ready to be copied."""
