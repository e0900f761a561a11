"""Measures gmhealth beside what one would use instead: run it as `scripts/bench`."""
