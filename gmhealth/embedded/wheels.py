"""Files of installed wheels, found without importing their packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gmhealth.errors import ConfigError


def file_of_wheel(package: str, pattern: str) -> Path:
    """Finds the file that matches the pattern in an installed package; raises ConfigError when there is none."""
    spec = find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        for found in Path(folder).glob(pattern):
            return found
    raise ConfigError(
        f"the embedded servers are not installed: no {Path(pattern).name} from the Python package {package}",
        hint="pip install 'gmhealth[embedded]'",
    )
