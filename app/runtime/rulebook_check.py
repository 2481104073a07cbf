"""Refuses state that came about under another rulebook, unless the operator says that the change is meant."""

from vigil.app.domain.rulebook import Rulebook
from vigil.app.engine.changelog_store import ChangelogStore
from vigil.app.kafka.settings import SettingsError


def check_rulebook(store: ChangelogStore, rulebook: Rulebook, changed: bool) -> None:
    """Raise SettingsError if the stored state is of another rulebook than the worker's.

    Workers with different files would judge the same group of rooms by different numbers, depending on who owns them.
    `changed`: the setting `rulebook_changed`.
    """
    marker = store.marker
    if marker is None or marker.rulebook == rulebook.digest or changed:
        return
    raise SettingsError(
        f"rulebook: this worker's rulebook ({rulebook.digest[:12]}) is not the one that the group runs "
        f"({marker.rulebook[:12]}); give every worker the same file, or, where the change is meant, stop all "
        "workers and start them once with rulebook_changed = true (VIGIL_RULEBOOK_CHANGED=1)"
    )
