"""FastStream with its Redis broker and asyncpg, in an environment of its own (see `environment`)."""
