"""PostgreSQL: rows and the leader lock on one session, and what commands ask."""
