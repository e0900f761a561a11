"""Makes the man pages and the table of settings, so that neither can differ from the program."""
