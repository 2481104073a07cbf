"""What the contract's tests share."""

from collections.abc import Iterator

import pytest

from tests.support.judged import judged_broker


@pytest.fixture(scope="session")
def judged() -> Iterator[str]:
    """The address of a broker on which a worker judged the story of the examples."""
    with judged_broker() as address:
        yield address
