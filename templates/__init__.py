"""Projects to copy. `service/` is the reference service that `maestro demo` runs."""
