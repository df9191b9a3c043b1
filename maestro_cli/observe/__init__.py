"""What checks observe with: the run's shared HTTP client, database, Redis and files."""
