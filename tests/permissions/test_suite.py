"""The end-to-end suite once more, under the daemon's least privileges: `gmhealth` is another fixture here."""

from tests.e2e.test_consume import *  # noqa: F403
from tests.e2e.test_incident import *  # noqa: F403
