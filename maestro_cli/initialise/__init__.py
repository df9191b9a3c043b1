"""`maestro init`: what a project's folder holds, and the maestro.yaml that follows from it. Reads files, runs nothing."""
