"""Programs that some tests need besides Python: without them tests are skipped, or fail if the program is required.

VIGIL_REQUIRE_CHROMIUM=1, and the same with PROMETHEUS, ALERTMANAGER, KCAT, SRT, ASYNCAPI, KAFKA and REGISTRIES, makes
them fail.
"""

import os
import shutil
from typing import NoReturn

import pytest


def lacking(what: str, untested: str, lack: str) -> NoReturn:
    """Fail if VIGIL_REQUIRE_<what> is 1, otherwise skip, with a message of what is not tested and why."""
    flag = f"VIGIL_REQUIRE_{what}"
    if os.environ.get(flag) == "1":
        pytest.fail(f"{flag}=1, but {lack}")
    pytest.skip(f"{untested} not tested: {lack}")


def program(what: str, untested: str, package: str, *names: str) -> str:
    """Return the path of the first program that is installed; `package` is its Debian package."""
    for name in names:
        if found := shutil.which(name):
            return found
    lacking(what, untested, f"there is no {names[0]} on PATH (Debian: apt-get install {package})")
