"""`maestro demo`: a real service from nothing to a scored verdict, on servers of its own."""
