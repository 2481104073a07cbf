"""The rights that docs/security.md lists are those that a worker asks for, and what a console and notify do."""

import os
from pathlib import Path

import pytest

from vigil.app.console.ingest import topic_ingest as feed
from vigil.app.domain.registry import REGISTRY
from vigil.app.kafka.acls import Acl, commands, needed
from vigil.app.kafka.names import TopicNames
from vigil.app.notify import topics
from vigil.app.notify.records import INCIDENT, LINE_TOPICS

PAGE = Path(__file__).parents[2] / "docs" / "security.md"

RIGHTS = {
    "vigil": needed(TopicNames("vigil"), REGISTRY.sources),
    "vigil-console": feed.needed(),
    "vigil-notify": topics.required_acls("vigil", [INCIDENT, *LINE_TOPICS]),
}


@pytest.mark.parametrize(("who", "rights"), RIGHTS.items())
def test_the_page_lists_exactly_the_rights_that_are_needed(who: str, rights: list[Acl]) -> None:
    text = PAGE.read_text()
    begin, end = f"<!-- rights of {who} -->\n", f"<!-- end of {who} -->\n"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    wanted = f"{before}{begin}```sh\n{commands(rights, f'User:{who}')}```\n{end}{after}"
    if os.environ.get("VIGIL_WRITE_DOCS"):
        PAGE.write_text(wanted)
    assert rest, f"{PAGE.name} has no {begin}"
    assert PAGE.read_text() == wanted, "docs/security.md is out of date: VIGIL_WRITE_DOCS=1 pytest tests/docs"
