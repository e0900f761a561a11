"""Keeps Game Master's view of engine health current: stream in, rows and snapshots out."""

__version__ = "0.1.0"
