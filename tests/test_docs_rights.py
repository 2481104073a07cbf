"""The rights that docs/security.md lists are those that a worker asks for, and what a console and notify do."""

from pathlib import Path

import pytest

from app.console import feed
from app.notify import store
from app.notify.read import READ
from app.rights import Right, commands, needed
from app.rulebook import load_rulebook
from app.subjects import subjects

PAGE = Path(__file__).parents[1] / "docs" / "security.md"

RIGHTS = {
    "vigil": needed("vigil", subjects(load_rulebook(), None)),
    "vigil-console": feed.needed(),
    "vigil-notify": store.needed("vigil", READ),
}


@pytest.mark.parametrize(("who", "rights"), RIGHTS.items())
def test_the_page_lists_exactly_the_rights_that_are_needed(who: str, rights: list[Right]) -> None:
    wanted = commands(rights, f"User:{who}")
    assert f"```sh\n{wanted}```\n" in PAGE.read_text(), f"put this into the page:\n{wanted}"
