"""Builders of what Vigil publishes about suppliers' lines."""

from typing import Any

from tests.support.notify_stories import T0, S
from vigil.topics.programmes import Participation
from vigil.topics.services import Obligation
from vigil.topics.verdicts import identity

H = 3600 * S

ALL = '[[routes]]\nto = ["hook"]\nkinds = ["obligation", "participation"]\n'


def obligation(status: str = "at-risk", ref: str = "request-4", at: int | None = None, **more: Any) -> Obligation:
    """A request for parts at T0, due 48 h later; `at`: hours after T0."""
    hours = {"open": 0, "at-risk": 24, "breached": 48}.get(status, 30) if at is None else at
    fields: dict[str, Any] = {
        "duty": "service-parts", "owed_by": "supplier", "supplier_id": "merchant-7", "reason": None, "since": T0,
        "warn_at": T0 + 24 * H, "due": T0 + 48 * H, "done_at": None, "compensation_usd": None, "order_id": "order-12",
        "product_id": "lamp-3", "buyer_id": "buyer-1", "rulebook": "2022-07-01", **more,
    }  # fmt: skip
    id_ = identity(fields["duty"], fields["supplier_id"], ref)
    return Obligation(obligation_id=id_, ref=ref, at=T0 + hours * H, status=status, **fields)  # type: ignore[arg-type]


def participation(status: str = "claimed", supplier: str = "merchant-7", at: int = 0, **more: Any) -> Participation:
    """A part in the strength pack; `at`: hours after T0."""
    fields: dict[str, Any] = {
        "programme": "strength-pack", "edition": "2022-09", "reason": None, "claimed_at": T0, "opens": T0,
        "closes": T0 + 99 * H, "tasks": (), "completed_at": None, "place": None, "rewards": (), "reward_by": None,
        "rulebook": "2022-07-21", **more,
    }  # fmt: skip
    return Participation(supplier_id=supplier, at=T0 + at * H, status=status, **fields)  # type: ignore[arg-type]
