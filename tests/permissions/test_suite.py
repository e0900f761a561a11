"""The end-to-end suite once more, under the daemon's least privileges: `gmhealth` is another fixture here."""

import pytest

from tests.e2e.test_consume import *  # noqa: F403
from tests.e2e.test_incident import *  # noqa: F403

pytestmark = pytest.mark.since_redis_7  # the users' rules have selectors
