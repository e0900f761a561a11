"""Fuzzing: entries of every kind through the decoder and the whole path."""
