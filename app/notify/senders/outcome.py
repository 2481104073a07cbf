"""What came of sending a change, and the protocol of everything that sends."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from vigil.app.notify.alerts import AlertChange


class Sent(NamedTuple):
    """The target has accepted it."""


class RetryLater(NamedTuple):
    """The target may accept it later."""

    why: str
    after_s: float | None = None
    """Seconds that the target asked to wait; None where it did not say."""
    untaken: bool = False
    """True if the target has certainly not taken it; else it may have."""


class DeliveryRejected(NamedTuple):
    """The target will never accept it."""

    why: str
    status: int | None = None
    """The HTTP status; None where there is none."""


SendOutcome = Sent | RetryLater | DeliveryRejected

OUTCOME_LABELS: Final[Mapping[type[SendOutcome], str]] = {
    Sent: "sent",
    RetryLater: "later",
    DeliveryRejected: "refused",
}
"""The values of the label `outcome` of `vigil_notify_tries`. Dashboards and alerts name them: they stay."""


class Sender(Protocol):
    """Sends changes to one target."""

    batch: int
    """The number of changes that it sends in one request."""

    async def send(self, changes: Sequence[AlertChange]) -> list[SendOutcome]:
        """Send the changes; return the outcome of each, in order.

        It does not raise for what a target does (errors, timeouts, hostile answers): that is an outcome.
        """
