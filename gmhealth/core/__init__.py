"""The rules, without any I/O, clock, randomness or logging (I8): values in, values out."""
