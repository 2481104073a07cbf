"""What some tests need of the machine beside Python: left out and told where it lacks, failing where it is required.

VIGIL_REQUIRE_CHROMIUM=1, and the same with PROMETHEUS, ALERTMANAGER, KCAT, ASYNCAPI and KAFKA, makes them fail.
"""

import os
import shutil
from typing import NoReturn

import pytest


def lacking(what: str, untested: str, lack: str) -> NoReturn:
    """Fail where VIGIL_REQUIRE_<what> is 1, else skip; both say what is not tested, and why."""
    flag = f"VIGIL_REQUIRE_{what}"
    if os.environ.get(flag) == "1":
        pytest.fail(f"{flag}=1, but {lack}")
    pytest.skip(f"{untested} not tested: {lack}")


def program(what: str, untested: str, package: str, *names: str) -> str:
    """The path of the first of the programs that is there; `package` is Debian's that has it."""
    for name in names:
        if found := shutil.which(name):
            return found
    lacking(what, untested, f"there is no {names[0]} on PATH (Debian: apt-get install {package})")
