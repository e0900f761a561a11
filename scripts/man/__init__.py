"""Makes the man pages, so that they cannot differ from the program."""
