"""Refuses state that came about under another rulebook, unless the operator says that the change is meant."""

from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.kafka.settings import SettingsError
from vigil.app.runtime.rulebooks.follower import RulebookFollower


def check_rulebook(store: ChangelogStore, rulebooks: RulebookFollower, changed: bool) -> None:
    """Raise SettingsError if the stored state is of a rulebook that is neither the worker's nor was published.

    Workers with different files would judge the same group of rooms by different numbers, depending on who owns them.
    `changed`: the setting `rulebook_changed`.
    """
    marker, rulebook = store.marker, rulebooks.rulebook
    if marker is None or rulebooks.has(marker.rulebook) or changed:
        return
    if rulebooks.history.newest is not None:
        raise SettingsError(
            f"rulebook: the stored state is of a rulebook ({marker.rulebook[:12]}) that the topic `rulebook` does not "
            "know: was the topic deleted, or does another group publish to it? `vigil rules history` shows what it "
            "has. Where the published rulebook is to go on, start all workers once with rulebook_changed = true "
            "(VIGIL_RULEBOOK_CHANGED=1)"
        )
    raise SettingsError(
        f"rulebook: this worker's rulebook ({rulebook.digest[:12]}) is not the one that the group runs "
        f"({marker.rulebook[:12]}); give every worker the same file, or, where the change is meant, stop all "
        "workers and start them once with rulebook_changed = true (VIGIL_RULEBOOK_CHANGED=1)"
    )
