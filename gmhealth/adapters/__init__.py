"""The ports over redis-py and psycopg; each translates its driver's errors where it meets them."""
