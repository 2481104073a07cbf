"""The rights that docs/security.md lists are those that a worker asks for."""

from pathlib import Path

from app.rights import commands
from app.rulebook import load_rulebook
from app.subjects import subjects

PAGE = Path(__file__).parents[1] / "docs" / "security.md"


def test_the_page_lists_exactly_the_rights_that_a_worker_needs():
    wanted = commands("vigil", subjects(load_rulebook(), None), "User:vigil")
    assert f"```sh\n{wanted}```\n" in PAGE.read_text(), f"put this into the page:\n{wanted}"
