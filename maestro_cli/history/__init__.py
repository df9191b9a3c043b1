"""Runs, kept over time: a table in SQLite or any database that SQLAlchemy knows, and the difference of two of them."""
