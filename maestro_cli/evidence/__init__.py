"""What other tools measured, read from the files they write. A file that is broken, empty or hostile is said to be so."""
