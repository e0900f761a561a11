"""Redis: the stream, the offset and its commits, dead letters, and what commands ask."""
