"""Who may log in and do what, once more without hiredis: another parser makes errors of the server's words."""

from tests.contract.test_redis_access import *  # noqa: F403
