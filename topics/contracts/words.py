"""What each field means, in a sentence: from the docstrings of the types, and from here where a name needs no more.

A test sees to it that every field of the contract has words.
"""

import ast
import functools
import inspect
import itertools
import sys
from typing import Any, Final

from msgspec import Struct

_SHARED: Final = {
    "room_id": "The live room: one broadcast.",
    "host_id": "The merchant account that broadcasts; the same id as its `supplier_id` where it also quotes.",
    "supplier_id": "The supplier's account.",
    "buyer_id": "The buyer's account.",
    "buyer_tier": "The marketplace's buyer tier; L1 and above are the high-quality buyers. Null: not known.",
    "rfq_id": "The request for quotation.",
    "quote_id": "The quote.",
    "rule": "The rule's name, such as `black-screen`.",
    "family": "The rule's family: violations of one family are counted together.",
    "at": "Event time: integer milliseconds since the Unix epoch, UTC.",
    "since": "When it began, ms since the epoch.",
    "due": "When it becomes a violation, ms since the epoch.",
    "industry": "The supplier's industry.",
    "membership": "`verified` is the paid, third-party-verified tier.",
    "stars": "The supplier's star level, 0 to 5.",
    "rulebook": "The effective date of the limits applied, such as `2022-07-19`.",
}
"""By field name, wherever the type has no words of its own for it."""

_OWN: Final = {
    "Comment.comment_id": "The comment, within its room: a repeat of it has no effect.",
    "Comment.author_id": "Who said it.",
    "Comment.author_role": "In what capacity.",
    "Comment.text": "What was said, at most 4,096 code points.",
    "Comment.via": "Typed, or transcribed from the host's speech in segments of at most 5 s.",
    "Comment.intent": "What an upstream classifier made of it; null: not classified.",
    "Comment.labels": "Upstream labels, such as `abuse`, `prohibited:medicine`, `rights:trademark`.",
    "Layout.camera_share": "The camera picture's share of the canvas.",
    "Layout.uncovered_share": "The share of the canvas that shows black because nothing covers it.",
    "Layout.materials": "Overlays beside the camera.",
    "Layout.camera_in_safe_area": "Is the camera picture within the safe area? Null: not known.",
    "Layout.videos": "Demonstration videos among the materials.",
    "FrameStatus.stream": "Is the stream being pushed? `ended` once the host pressed End.",
    "FrameStatus.face": "A face with its key parts (eyes or mouth) is visible.",
    "FrameStatus.black": "The picture is black.",
    "FrameStatus.av_offset_ms": "Sound minus picture in ms; positive: the sound is late. Null: not measured.",
    "FrameStatus.activity": "What the host is doing; null: not known.",
    "FrameStatus.layout": "How the canvas is shared out; null: not known.",
    "FrameStatus.labels": "Of upstream: `theme-mismatch`, `minor`, `illegal-background`, `rights:…` or `prohibited:…`.",
    "Quote.kind": "What happened to the quote; `pinned` is the supplier's request that it be pinned.",
    "Payment.kind": "`paid` by the buyer, `settled` once credited, `refunded` when money went back.",
    "Payment.payment_id": "The payment; `payment_id` and `kind` together are told once.",
    "Payment.order_id": "The order paid for.",
    "Review.verdict_id": "The verdict reviewed.",
    "Review.decision": "`overturned` takes the verdict out of the counts; a later `upheld` puts it back.",
    "Review.by": "Who decided, for people.",
    "Review.reason": "Why, for people.",
    "Verdict.evidence": "What it rests on: the missed entries, the comment, or the run's first and last frame.",
    "Evidence.topic": "The topic that the event came in by.",
    "Evidence.note": "What the event says, in words for people.",
    "Notice.kind": "What is to be seen coming, or is over.",
    "Notice.rule": "The rule concerned; null for `signal-lost` and `signal-back`.",
    "Notice.buyer_id": "The buyer who was missed; null unless `kind` is `entry-missed`.",
    "Notice.priority": "`high` where the buyer's tier is L1 or above.",
    "ReceptionSeconds.p50": "The median.",
    "ReceptionSeconds.p95": "The 95th percentile.",
    "CommentCounts.host": "By the host.",
    "CommentCounts.buyer": "By buyers.",
    "RoomStatus.entries": "Buyer entries judged: made while live, by a buyer without an undecided entry.",
    "RoomStatus.received": "Entries that the host received in time.",
    "RoomStatus.missed": "Entries that the host missed.",
    "RoomStatus.reception_seconds": "Null before the first reception.",
    "RoomStatus.comments": "Comments so far.",
    "RoomStatus.on_air_seconds": "Seconds on air.",
    "RoomStatus.absent_seconds": "Seconds on air without a visible face.",
    "RoomStatus.black_seconds": "Seconds on air with a black picture.",
    "RoomStatus.open": "Runs that will give a violation if they go on.",
    "RoomStatus.waiting": "Buyers whom nobody has received yet.",
    "RoomStatus.verdicts": "Violations so far.",
    "Action.status": "`withdrawn` when the verdict was overturned.",
    "Action.steps": "What the marketplace is to do; Vigil closes no stream itself.",
    "Action.ban_days": "Length of the ban; null: none.",
    "Action.ban_until": "End of the ban, ms since the epoch: of this one, or of a longer one that still runs.",
    "Action.freeze_days": "For how many days to freeze the account; null: not at all.",
    "Action.past_days": "Close the rooms of so many past days; null: none.",
    "Action.at": "When the violation occurred.",
    "Metrics.quotes_month": "Distinct RFQs quoted in the current calendar month (America/Los_Angeles).",
    "Metrics.response_rate": "Share of the RFQs quoted in the last 30 days that were quoted in time.",
    "Metrics.reply_rate": "Share of the quotes submitted in the last 30 days to which the buyer has replied.",
    "Metrics.gmv_90d": "Settled minus refunded US$ of the last 90 days, linked to an RFQ; never below 0.",
    "Metrics.gmv_month": "Paid minus refunded US$ of the current calendar month, linked to an RFQ; never below 0.",
    "Points.quotes": "For the quotes of this month, by rank.",
    "Points.response": "For the response rate, by rank.",
    "Points.reply": "For the reply rate.",
    "Points.gmv": "For the GMV of 90 days.",
    "Points.bonus": "For verified members.",
    "Rank.rank": "1 is the best; equal values share the best rank.",
    "Rank.of": "How many are ranked.",
    "Ranks.quotes": "By quotes this month; null: not ranked.",
    "Ranks.response": "By response rate; null: not ranked.",
    "Assessed.score": "The service score of that month.",
    "Entitlements.pinned_quotes": "Quotes that may be pinned.",
    "Entitlements.free_pass_quotes": "Free-pass quotes.",
    "Entitlements.silver_early": "Silver RFQs six working hours early.",
    "Entitlements.star_points": "Star marketing points.",
    "Counts.rfqs_quoted": "RFQs first quoted in the last 30 days.",
    "Counts.rfqs_in_time": "Of these, quoted in time.",
    "Counts.quotes": "Quotes submitted in the last 30 days.",
    "Counts.quotes_replied": "Of these, replied to by the buyer.",
    "SupplierScore.at": "What the figures are as of, ms since the epoch.",
    "SupplierScore.metrics": "What the points are given for.",
    "SupplierScore.points": "The service score by factor; null: not scored yet.",
    "SupplierScore.ranks": "Places in the industry.",
    "SupplierScore.predicted": "The score as of now: the sum of the points.",
    "SupplierScore.assessed": "The last score that was fixed; null before the first.",
    "SupplierScore.entitlements": "What the assessed score entitles to; null before the first.",
    "SupplierScore.gmv_challenge_rights": "Quote rights earned in the GMV challenge this month.",
    "SupplierScore.counts": "What the two rates are made of.",
    "PinDecision.decision": "Is the quote pinned?",
    "PinDecision.place": "1 to 3, in order of request; null: refused.",
    "PinDecision.reason": "Why it was refused; null: granted.",
    "DeadLetter.partition": "Where it stood: with topic and offset its identity. Null in a replay.",
    "DeadLetter.offset": "Where it stood; in a replay the number of the line where none was given.",
    "DeadLetter.reason": "`malformed`, `late`, or a review of an `unknown-verdict`.",
    "DeadLetter.detail": "What is wrong with it, in words for people.",
}


def words_of(kind: type[Struct], field: str) -> str:
    """What a field means; raise KeyError where nobody has said."""
    own = docstrings(kind).get(field) or _OWN.get(f"{kind.__name__}.{field}") or _SHARED.get(field)
    if own is None:
        raise KeyError(f"{kind.__name__}.{field} has no words: give the field a docstring")
    return own


@functools.cache
def docstrings(kind: type[Struct]) -> dict[str, str]:
    """The strings that stand below a type's fields, on one line each."""
    told: dict[str, str] = {}
    tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    body: list[Any] = next(
        node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )
    for field, below in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            told[field.target.id] = " ".join(str(below.value.value).split())
    return told
