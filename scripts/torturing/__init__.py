"""Breaks a real `gmhealth consume` on real servers in every way there is, and judges what came of it."""
