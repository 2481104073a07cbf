"""Makes dashboards/*.json: `python -m tools.dashboards` writes them, a test holds them together."""

# ruff: noqa: E501 - a panel's description and queries stays on one line

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from vigil.app.domain.registry import REGISTRY, Registry

FOLDER: Final = Path(__file__).parents[1] / "dashboards"
SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
RATE: Final = "[$__rate_interval]"
QUANTILES: Final = ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))

Query = tuple[str, str]
"""An expression and the legend of its series."""


class Dashboard:
    """Rows of panels, from left to right."""

    def __init__(self, uid: str, title: str, description: str) -> None:
        self._head = (uid, title, description)
        self._panels: list[dict[str, Any]] = []
        self._x = self._y = self._height = 0

    def row(self, title: str) -> None:
        """Begin a row."""
        self._y += self._height
        self._add({"type": "row", "title": title, "collapsed": False, "panels": []}, 24, 1)
        self._x, self._y, self._height = 0, self._y + 1, 0

    def stat(  # noqa: PLR0913 - what a panel shows is one argument each
        self, title: str, says: str, expr: str, unit: str, *, warn: float | None = None, bad: float | None = None,
        width: int = 4,
    ) -> None:  # fmt: skip
        """One number; yellow from `warn`, red from `bad` on."""
        steps: list[dict[str, Any]] = [{"color": "text" if warn is None and bad is None else "green", "value": None}]
        steps += [
            {"color": colour, "value": value} for colour, value in (("yellow", warn), ("red", bad)) if value is not None
        ]
        shown = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        options = {"reduceOptions": shown, "colorMode": "value", "graphMode": "area", "textMode": "auto",
                   "justifyMode": "auto", "orientation": "auto"}  # fmt: skip
        defaults = {"unit": unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
        self._panel(_panel("stat", title, says, defaults, options), [(expr, "")], (width, 4))

    def lines(self, title: str, says: str, queries: Sequence[Query], unit: str, *, width: int = 8) -> None:
        """Series over time."""
        custom = {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": False}
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        options = {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
        panel = _panel("timeseries", title, says, {"unit": unit, "min": 0, "custom": custom}, options)
        self._panel(panel, queries, (width, 8))

    def heat(self, title: str, says: str, expr: str, unit: str, *, width: int = 8) -> None:
        """How a histogram's values spread over time."""
        options = {
            "calculate": False, "cellGap": 1, "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
            "yAxis": {"unit": unit}, "legend": {"show": True}, "tooltip": {"mode": "single", "yHistogram": False},
        }  # fmt: skip
        panel = _panel("heatmap", title, says, {"unit": unit, "min": 0}, options)
        self._panel(panel, [(expr, "{{le}}")], (width, 8))

    def _panel(self, panel: dict[str, Any], queries: Sequence[Query], size: tuple[int, int]) -> None:
        form = "heatmap" if panel["type"] == "heatmap" else "time_series"
        panel["targets"] += [
            {"datasource": SOURCE, "expr": expr, "legendFormat": legend, "refId": "ABCDEF"[n], "range": True,
             "format": form}
            for n, (expr, legend) in enumerate(queries)
        ]  # fmt: skip
        self._add(panel, *size)

    def _add(self, panel: dict[str, Any], width: int, height: int) -> None:
        if self._x + width > 24:
            self._x, self._y, self._height = 0, self._y + self._height, 0
        place = {"x": self._x, "y": self._y, "w": width, "h": height}
        self._panels.append({"id": len(self._panels) + 1, "gridPos": place, **panel})
        self._x += width
        self._height = max(self._height, height) if panel["type"] != "row" else 0

    def expressions(self) -> str:
        """The expressions of all panels."""
        return "\n".join(target["expr"] for panel in self._panels for target in panel.get("targets", ()))

    def text(self) -> str:
        """The file."""
        uid, title, description = self._head
        others = {"type": "dashboards", "title": "Vigil", "tags": ["vigil"], "asDropdown": True, "includeVars": False}
        content = {
            "uid": uid, "title": title, "description": description, "tags": ["vigil"], "schemaVersion": 41, "version": 1,
            "editable": False, "graphTooltip": 1, "refresh": "5s", "time": {"from": "now-30m", "to": "now"},
            "timezone": "browser", "templating": {"list": []}, "annotations": {"list": []}, "links": [others],
            "panels": self._panels,
        }  # fmt: skip
        return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _panel(kind: str, title: str, says: str, defaults: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """A panel without its queries."""
    return {
        "type": kind, "title": title, "description": says, "datasource": SOURCE, "targets": [],
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options,
    }  # fmt: skip


def rate(metric: str, by: str = "", more: str = "") -> str:
    """How much a counter rises in a second."""
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{more}{RATE}))"


def quantile(share: float, metric: str, by: str = "", more: str = "") -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(metric + '_bucket', f'le, {by}' if by else 'le', more)})"


def quantiles(metric: str, more: str = "") -> list[Query]:
    """Its median and tails."""
    return [(quantile(share, metric, more=more), name) for share, name in QUANTILES]


VERDICTS: Final = '{topic="verdict"}'


def operations() -> Dashboard:
    """Is Vigil keeping up?"""
    d = Dashboard(
        "vigil-operations", "Vigil: operations", "Is Vigil keeping up, on time, and understood by its producers?"
    )
    d.row("At a glance")
    d.stat("Workers that judge", "Workers that have their shards and their state.", "sum(vigil_ready)", "short")
    d.stat("Messages read", "Refused ones included, a second, over all workers.", rate("vigil_events_total"), "reqps")
    d.stat("Not yet read", "Messages in the input topics that no worker has read; while it grows, Vigil is slower than its "
           "input.", "sum(vigil_event_lag)", "short", warn=10_000, bad=100_000)  # fmt: skip
    d.stat("Delay that Vigil adds, p99", "From the moment at which the specification permits a verdict to its publication.",
           quantile(0.99, "vigil_judgement_delay_seconds", more=VERDICTS), "s", warn=0.25, bad=0.5)  # fmt: skip
    d.stat("Promise kept, last hour", "Share of verdicts within 500 ms of that moment; 99 % are promised.",
           "1 - vigil:slow_verdicts:ratio_rate1h", "percentunit")  # fmt: skip
    d.stat("Refused", "Messages sent to dead-letter, a second.", rate("vigil_refused_total"), "reqps", warn=0.1, bad=10)
    d.row("What comes in")
    d.lines("Messages read, by topic", "Refused ones included, a second.",
            [(rate("vigil_events_total", "topic"), "{{topic}}")], "reqps")  # fmt: skip
    d.lines("Not yet read, by topic", "Messages between what the workers have read and the end of the topic.",
            [("sum by (topic) (vigil_event_lag)", "{{topic}}")], "short")  # fmt: skip
    d.lines("Refused, by topic and reason", "malformed: see the detail in dead-letter. misrouted: the producer has another "
            "partitioner. future: its clock is ahead. late: its events are more out of order than allowed_lateness. gone: retention took them before they were read.",
            [(rate("vigil_refused_total", "topic, reason"), "{{topic}}: {{reason}}"),
             (rate("vigil_duplicates_total", "topic"), "{{topic}}: duplicate (no effect)"),
             (rate("vigil_skipped_total", "topic"), "{{topic}}: gone")], "reqps")  # fmt: skip
    d.lines("Optional fields that cannot be read", "The event is judged without them.",
            [(rate("vigil_fields_ignored_total", "topic, field"), "{{topic}}: {{field}}")], "reqps")  # fmt: skip
    d.lines("What the broker has lost", "Records that were gone before they were read, and topics that were created again.",
            [("sum by (topic) (vigil_source_lost_total)", "{{topic}}: records lost"),
             ("sum by (topic) (vigil_source_recreated_total)", "{{topic}}: created again")], "short")  # fmt: skip
    d.lines("Labels that no rule knows", "Spelled otherwise than the rules have them, or of a detector that is new. They "
            "have no effect.", [(rate("vigil_unknown_labels_total", "label"), "{{label}}")], "reqps")  # fmt: skip
    d.lines("What rooms do not see", "Seconds of rooms in which records of the topic lie in another partition, and entries "
            "that are not judged for it. The producer has another partitioner.",
            [(rate("vigil_unobserved_seconds_total", "topic"), "{{topic}}: seconds"),
             (rate("vigil_entries_voided_total"), "entries voided")], "reqps")  # fmt: skip
    d.row("Time")
    d.lines("Clock behind the wall clock", "How far each kind of shard's slowest and fastest clock is behind. About the "
            "allowed lateness is usual; more means that a partition holds its shard back, or a backlog is worked off.",
            [("max by (shards) (vigil_clock_delay_seconds)", "{{shards}}, slowest"),
             ("min by (shards) (vigil_clock_delay_seconds)", "{{shards}}, fastest")], "s")  # fmt: skip
    d.lines("Workers' clocks", "By how much each worker's clock is ahead of the broker's. More than five seconds, either "
            "way, and the worker is not ready.", [("vigil_clock_ahead_seconds", "{{instance}}")], "s")  # fmt: skip
    d.lines("Rulebook known for", "For how long event times are covered by the last look at the topic rulebook. Below 0 nothing is "
            "judged; until a rulebook that was published is taken over, it ends where that one begins.",
            [("vigil_rulebook_known_seconds", "{{instance}}")], "s")  # fmt: skip
    d.lines("Rulebooks in use", "Workers by the digest of their rulebook, and publications that do not count. More than one digest for "
            "more than some seconds means a worker that does not follow.",
            [("count by (digest) (vigil_rulebook_info)", "{{digest}}"),
             ('max by (outcome) (vigil_rulebook_publications_total{outcome!="accepted"})', "refused: {{outcome}}")], "short")  # fmt: skip
    d.lines("How late events come, p99.9", "Behind the clock of their partition, by topic and, of comments, what they came "
            "by. The allowed lateness must be above it; vigil doctor recommends a value.",
            [(quantile(0.999, "vigil_lateness_seconds", "topic, via"), "{{topic}} {{via}}")], "s")  # fmt: skip
    d.lines("Delay that Vigil adds", "From the moment at which a verdict is permitted to its publication.",
            quantiles("vigil_judgement_delay_seconds", VERDICTS), "s")  # fmt: skip
    d.lines("Where the delay arises", "99th percentile of each step: fetch, then watermark, judge, wait for a checkpoint, "
            "checkpoint, send. docs/performance.md explains them.",
            [(quantile(0.99, "vigil_step_seconds", "step"), "{{step}}")], "s")  # fmt: skip
    d.lines("From violation to publication", "What the rules, the lateness and silent partitions demand, and what Vigil "
            "adds.", quantiles("vigil_publish_delay_seconds"), "s")  # fmt: skip
    d.lines("Budget of the promise", "Share of slow verdicts over one hour, six hours and three days; 1 % is the budget.",
            [(f"vigil:slow_verdicts:ratio_rate{window}", window) for window in ("1h", "6h", "3d")], "percentunit")  # fmt: skip
    d.lines("Waiting to be put in order", "Events in the reorder buffers, and partitions that are not fetched because they "
            "run ahead.",
            [("sum by (shards) (vigil_buffered_events)", "{{shards}}"),
             ("sum by (shards) (vigil_held_back_partitions)", "{{shards}}: partitions held back")], "short")  # fmt: skip
    d.lines("Event loop: longest gaps", "How long a worker did not look at its shards, 99th percentile. It adds to the "
            "delay of timers.", [(quantile(0.99, "vigil_loop_gap_seconds", "instance"), "{{instance}}")], "s")  # fmt: skip
    d.row("State")
    d.lines("Time of a checkpoint", "State written, then outputs sent.", quantiles("vigil_checkpoint_seconds"), "s")
    d.lines("Checkpoints and what they write", "A second.",
            [(rate("vigil_checkpoint_seconds_count"), "checkpoints"),
             (rate("vigil_checkpoint_records_total"), "records written to the changelogs")], "ops")  # fmt: skip
    d.lines("Keys remembered", "Rooms, hosts, suppliers and so on with state. It follows what is on air and what windows "
            "remember, not what was ever seen.", [("sum by (shards) (vigil_keys)", "{{shards}}")], "short")  # fmt: skip
    d.lines("Last recovery", "How long a worker took to get its shards and their state when it was last given some.",
            [("vigil_recovery_seconds", "{{instance}}")], "s")  # fmt: skip
    d.lines("Standbys behind", "Changelog records that workers which stand by have not taken in: what a take-over would "
            "have to read first.", [("sum by (instance) (vigil_standby_lag)", "{{instance}}")], "short")  # fmt: skip
    d.lines("Messages out, by topic", "A second.", [(rate("vigil_outputs_total", "topic"), "{{topic}}")], "reqps")
    d.lines("Too old to count", "Events older than what is remembered, a second; they had no effect.",
            [(rate("vigil_too_old_total", "shards"), "{{shards}}")], "reqps")  # fmt: skip
    d.row("Workers")
    d.lines("Shards by worker", "How the group's shards are spread.",
            [("sum by (instance) (vigil_shards)", "{{instance}}")], "short", width=6)  # fmt: skip
    d.lines("CPU", "Cores in use; a worker is full at one.",
            [('rate(process_cpu_seconds_total{job="vigil"}' + RATE + ")", "{{instance}}")], "short", width=6)  # fmt: skip
    d.lines("Memory", "Resident.", [('process_resident_memory_bytes{job="vigil"}', "{{instance}}")], "bytes", width=6)
    d.lines("Up for", "Time since a worker started.",
            [('time() - process_start_time_seconds{job="vigil"}', "{{instance}}")], "s", width=6)  # fmt: skip
    d.row("Alerts for others: vigil notify (empty where none runs)")
    d.lines("Waiting for delivery, by target", "Alerts with something that was not delivered yet, those that wait for the end of "
            "quiet hours included.", [("sum by (target) (vigil_notify_owed)", "{{target}}")], "short")  # fmt: skip
    d.lines("Longest wait, by target", "How long the oldest alert that is due has been waiting; quiet hours do not count. While it "
            "grows, the target does not answer, or takes less than there is to deliver.",
            [("max by (target) (vigil_notify_late_seconds)", "{{target}}")], "s")  # fmt: skip
    d.lines("Delivered and given up, by target", "Steps a minute; what was given up is in notify-dead-letter.",
            [(rate("vigil_notify_delivered_total", "target") + " * 60", "{{target}}"),
             (rate("vigil_notify_dead_letters_total", "target") + " * 60", "{{target}}: given up")], "cpm")  # fmt: skip
    d.lines("Obligations and participations sent", "In an hour: one by one by kind, and those that were a part of a digest. Many of these "
            "are a month's end, or a producer of activities that is silent.",
            [('sum by (kind) (increase(vigil_notify_changes_total{kind=~"obligation|participation"}[1h]))', "{{kind}}"),
             ("sum by (kind) (increase(vigil_notify_digested_total[1h]))", "{{kind}}: in digests")], "short", width=12)  # fmt: skip
    d.lines("Open alerts", "Incidents and obligations whose end will be sent.",
            [("sum(vigil_notify_open_incidents)", "incidents"),
             ("sum(vigil_notify_open_obligations)", "obligations")], "short", width=6)  # fmt: skip
    d.lines("Held back by brakes", "New violations of a rule beyond what a route's brake lets pass: they wait for vigil notify release.",
            [("max by (route, rule) (vigil_notify_held)", "{{route}}, {{rule}}")], "short", width=6)  # fmt: skip
    return d


def moderation() -> Dashboard:
    """What happens in the rooms?"""
    d = Dashboard("vigil-moderation", "Vigil: moderation", "What happens in the rooms, and what follows from it?")
    d.row("Now")
    d.stat("Rooms on air", "Rooms whose latest status says live.", "sum(vigil_rooms_on_air)", "short")
    d.stat("Rooms at risk", "Rooms with a condition that is at risk by the rulebook; a room counts once for each rule.",
           "sum(vigil_rooms_at_risk)", "short", warn=1, bad=20)  # fmt: skip
    d.stat("Buyers waiting, L1 and above", "They entered and have seen no reception yet.",
           'sum(vigil_buyers_waiting{priority="high"})', "short")  # fmt: skip
    d.stat("Verdicts, last hour", "Violations published.", "sum(increase(vigil_verdicts_total[1h]))", "short")
    d.stat("Actions, last hour", "Actions and their revisions.", "sum(increase(vigil_actions_total[1h]))", "short")
    d.stat("Reception, median", "From a buyer's entry to the host's reception.",
           quantile(0.5, "vigil_reception_seconds"), "s", warn=6, bad=9)  # fmt: skip
    d.row("Violations")
    d.lines(
        "Verdicts by rule", "A minute.", [(rate("vigil_verdicts_total", "rule") + " * 60", "{{rule}}")], "cpm", width=12
    )
    d.lines("Rooms at risk, by rule", "Rooms with a condition that is at risk by the rulebook.",
            [("sum by (rule) (vigil_rooms_at_risk)", "{{rule}}"),
             ("sum(vigil_rooms_with_open_conditions)", "any condition that runs")], "short", width=12)  # fmt: skip
    d.lines("Notices by kind", "A minute.", [(rate("vigil_notices_total", "kind") + " * 60", "{{kind}}")], "cpm")
    d.lines("Risks that were averted", "Share of the at-risk notices of an hour that were cleared without a violation, by rule.",
            [('sum by (rule) (increase(vigil_notices_total{kind="risk-cleared"}[1h])) / '
              '(sum by (rule) (increase(vigil_notices_total{kind="at-risk"}[1h])) > 0)', "{{rule}}")], "percentunit")  # fmt: skip
    d.lines("Actions by family", "A minute; withdrawn ones follow from reviews.",
            [(rate("vigil_actions_total", "family, status") + " * 60", "{{family}}, {{status}}")], "cpm")  # fmt: skip
    d.row("Incidents")
    d.lines("Open incidents", "That have not ended, by kind, stage and severity.",
            [("sum by (kind, stage, severity) (vigil_incidents_open)", "{{kind}}, {{stage}}, {{severity}}"),
             ("sum(vigil_incidents_unclaimed)", "nobody works on it"),
             ("sum(vigil_incidents_still_live)", "still live after a close or ban")], "short")  # fmt: skip
    d.stat("First look at critical incidents, median", "Of the last half hour; the aim is 15 s.",
           "vigil:critical_look_seconds:p50_30m", "s", warn=15, bad=60, width=8)  # fmt: skip
    d.stat("Critical incidents that nobody has looked at", "For more than a minute.",
           'sum(vigil_incidents_unseen{severity="critical"})', "short", warn=1, bad=5, width=8)  # fmt: skip
    d.stat("Decided within ten minutes", "Share of the violations that were decided in the last six hours; the aim is 90 %.",
           "1 - vigil:late_decisions:ratio_rate6h", "percentunit", width=8)  # fmt: skip
    d.lines("Time to first look", "From a warning, or from the violation where nobody had claimed it by then, to the first claim.",
            quantiles("vigil_incident_look_seconds"), "s")  # fmt: skip
    d.lines("Time to first look, by severity", "Its median.",
            [(quantile(0.5, "vigil_incident_look_seconds", "severity"), "{{severity}}"),
             ("sum by (severity) (vigil_incidents_unseen)", "{{severity}}: nobody for a minute")], "s")  # fmt: skip
    d.lines("Time to decision", "From a violation to the first review of it.",
            quantiles("vigil_incident_decision_seconds"), "s")  # fmt: skip
    d.lines("Commands about incidents", "A minute; repeated ones have no effect.",
            [(rate("vigil_cases_total", "kind, effect") + " * 60", "{{kind}}, {{effect}}")], "cpm")  # fmt: skip
    d.row("How good the rules are")
    d.lines("Precision", "Of the reviewed verdicts of the last 30 days, the share that was upheld. Needs a console with metrics.",
            [('max by (rule, subject) (vigil_rule_precision_ratio{bound="estimate"})', "{{rule}} {{subject}}")], "percentunit")  # fmt: skip
    d.lines("Surely overturned", "The lower bound of the share that is overturned, with 95 % confidence; above 20 % there is an alert.",
            [('max by (rule, subject) (vigil_rule_overturned_ratio{bound="low"})', "{{rule}} {{subject}}")], "percentunit")  # fmt: skip
    d.lines("Verdicts in 30 days", "By rule and label, and how many of them were reviewed.",
            [("max by (rule, subject) (vigil_rule_verdicts)", "{{rule}} {{subject}}"),
             ("sum(max by (rule, subject, decision) (vigil_rule_decisions))", "reviewed")], "short")  # fmt: skip
    d.row("Reception")
    d.lines("Time to reception", "From a buyer's entry to the host's reception, of entries received in time.",
            quantiles("vigil_reception_seconds"), "s")  # fmt: skip
    d.heat(
        "How it spreads",
        "Receptions by how long they took, a second.",
        rate("vigil_reception_seconds_bucket", "le"),
        "s",
    )
    d.lines("Received and missed", "Entries a minute, and the buyers who wait now.",
            [(rate("vigil_reception_seconds_count") + " * 60", "received"),
             (rate("vigil_notices_total", more='{kind="entry-missed"}') + " * 60", "missed"),
             ("sum by (priority) (vigil_buyers_waiting)", "waiting now, {{priority}}")], "short")  # fmt: skip
    d.row("A candidate rulebook (shadow)")
    d.lines("Candidate against rulebook in force", "Verdicts a minute: both say it, only the candidate, only the one in force. "
            "All 0 where no candidate runs.",
            [(rate("vigil_shadow_verdicts_total", "found_by") + " * 60", "{{found_by}}")], "cpm", width=12)  # fmt: skip
    d.lines("Where they differ, by rule", "Verdicts of the last hour that only one of the two says.",
            [('sum by (rule, found_by) (increase(vigil_shadow_verdicts_total{found_by!="both"}[1h]))',
              "{{rule}}: {{found_by}}")], "short", width=12)  # fmt: skip
    return d


def suppliers() -> Dashboard:
    """How are suppliers served by their own answers?"""
    d = Dashboard("vigil-suppliers", "Vigil: suppliers", "How suppliers answer, and what scores follow?")
    d.row("Now")
    d.stat("Suppliers remembered", "With a quote, a payment or a profile in their windows.",
           'sum(vigil_keys{shards="suppliers"})', "short")  # fmt: skip
    d.stat("Quote and payment events", "A second.",
           rate("vigil_events_total", more='{topic=~"quote|payment"}'), "reqps")  # fmt: skip
    d.stat("Scores published", "A second.", rate("vigil_outputs_total", more='{topic="supplier-score"}'), "reqps")
    d.stat("Response rate, mean", "Of the lines published in the last hour.",
           "sum(increase(vigil_supplier_response_ratio_sum[1h])) / sum(increase(vigil_supplier_response_ratio_count[1h]))",
           "percentunit")  # fmt: skip
    d.stat("Predicted score, mean", "Of the lines published in the last hour.",
           "sum(increase(vigil_supplier_score_sum[1h])) / sum(increase(vigil_supplier_score_count[1h]))", "short")  # fmt: skip
    d.stat("Pins granted, last hour", "Requests to pin a quote that were granted.",
           'sum(increase(vigil_pin_decisions_total{decision="granted"}[1h]))', "short")  # fmt: skip
    d.row("Response")
    d.lines("Response rate by industry", "Mean of the lines published in ten minutes; a supplier whose figures change often "
            "weighs more.",
            [("sum by (industry) (increase(vigil_supplier_response_ratio_sum[10m])) / "
              "sum by (industry) (increase(vigil_supplier_response_ratio_count[10m]))", "{{industry}}")],
            "percentunit", width=12)  # fmt: skip
    d.heat("How response rates spread", "Published lines by their response rate, a second.",
           rate("vigil_supplier_response_ratio_bucket", "le"), "percentunit", width=12)  # fmt: skip
    d.row("Scores")
    d.lines("Predicted score by industry", "Mean of the lines published in ten minutes.",
            [("sum by (industry) (increase(vigil_supplier_score_sum[10m])) / "
              "sum by (industry) (increase(vigil_supplier_score_count[10m]))", "{{industry}}")], "short", width=12)  # fmt: skip
    d.lines("Quartiles of all scores", "Of the lines published in ten minutes.",
            [(f"histogram_quantile({share}, sum by (le) (increase(vigil_supplier_score_bucket[10m])))", name)
             for share, name in ((0.25, "lower quartile"), (0.5, "median"), (0.75, "upper quartile"))],
            "short", width=12)  # fmt: skip
    d.lines("Reaching 60 and 80", "Share of the lines published in ten minutes whose score entitles to more.",
            [(f'1 - sum(increase(vigil_supplier_score_bucket{{le="{bound}.0"}}[10m])) / '
              "sum(increase(vigil_supplier_score_count[10m]))", name) for bound, name in ((59, "60"), (79, "80"))],
            "percentunit", width=12)  # fmt: skip
    d.lines("Pin decisions", "A minute.", [(rate("vigil_pin_decisions_total", "decision") + " * 60", "{{decision}}")],
            "cpm", width=12)  # fmt: skip
    _duties(d)
    _programmes(d)
    return d


def _duties(d: Dashboard) -> None:
    d.row("Duties")
    d.lines("At risk, by duty", "Obligations that are at risk, of those that were published since the workers acquired their shards: after "
            "a restart it is too low until those from before have ended.",
            [("sum by (duty) (vigil_obligations_at_risk)", "{{duty}}")], "short")  # fmt: skip
    d.lines("Breached, by duty", "In an hour: not fulfilled by the deadline.",
            [('sum by (duty) (increase(vigil_obligations_total{status="breached"}[1h]))', "{{duty}}")], "short")  # fmt: skip
    d.lines("Fulfilled in time", "Share of the obligations met or breached in six hours, by duty.",
            [('sum by (duty) (increase(vigil_obligations_total{status="met"}[6h])) / '
              '(sum by (duty) (increase(vigil_obligations_total{status=~"met|breached"}[6h])) > 0)', "{{duty}}")],
            "percentunit")  # fmt: skip
    d.lines("Obligations by status", "Published in an hour. closed-late: breached, then fulfilled.",
            [("sum by (status) (increase(vigil_obligations_total[1h]))", "{{status}}")], "short", width=12)  # fmt: skip
    d.lines("Owed by the marketplace", "Published in an hour: what the marketplace owes to suppliers.",
            [('sum by (duty, status) (increase(vigil_obligations_total{owed_by="marketplace"}[1h]))',
              "{{duty}}: {{status}}")], "short", width=12)  # fmt: skip


def _programmes(d: Dashboard) -> None:
    d.row("Programmes and products")
    d.lines("Claims, by programme", "In an hour.",
            [("sum by (programme) (increase(vigil_programme_claims_total[1h]))", "{{programme}}")], "short")  # fmt: skip
    d.lines("What became of claims", "In an hour. no-place: all was done, and the places were gone.",
            [("sum by (programme, status) (increase(vigil_participations_total[1h]))", "{{programme}}: {{status}}")],
            "short")  # fmt: skip
    d.lines("Refused, by reason", "In an hour. closed: outside the window. not-eligible: the supplier may not enter.",
            [('sum by (programme, reason) (increase(vigil_participations_total{status="refused"}[1h]))',
              "{{programme}}: {{reason}}")], "short")  # fmt: skip
    d.lines("Places left", "Of programmes with few places, as of the last answer since the workers acquired their shards.",
            [("min by (programme, edition) (vigil_programme_places_left)", "{{programme}} {{edition}}")], "short")  # fmt: skip
    d.lines("Places given and sought in vain", "In an hour.",
            [("sum by (programme, answer) (increase(vigil_programme_places_total[1h]))", "{{programme}}: {{answer}}")],
            "short")  # fmt: skip
    d.lines("Product standings by stars", "Published in an hour; a product that changes often weighs more.",
            [("sum by (stars) (increase(vigil_product_standings_total[1h]))", "{{stars}}")], "short")  # fmt: skip


def subject_rows(d: Dashboard, shown: str, registry: Registry = REGISTRY) -> None:
    """A row for each subject that declares metrics which no panel shows. `shown`: the expressions of all panels."""
    for subject in registry.subjects.values():
        missing = [metric for metric in subject.metrics.metrics if not re.search(rf"{metric.name}(_|\b)", shown)]
        if missing:
            d.row(f"Subject: {subject.name}")
        for metric in missing:
            labels = ", ".join(metric.labels)
            legend = ", ".join(f"{{{{{label}}}}}" for label in metric.labels)
            if metric.kind == "counter":
                d.lines(
                    metric.name, f"{metric.help} A second.", [(rate(f"{metric.name}_total", labels), legend)], "ops"
                )
            elif metric.kind == "gauge":
                d.lines(
                    metric.name,
                    metric.help,
                    [(f"sum{f' by ({labels})' if labels else ''} ({metric.name})", legend)],
                    "short",
                )
            else:
                d.lines(metric.name, metric.help, quantiles(metric.name), "short")


def all_dashboards(registry: Registry = REGISTRY) -> dict[str, Dashboard]:
    """Every dashboard by the name of its file."""
    made = {"operations": operations(), "moderation": moderation(), "suppliers": suppliers()}
    subject_rows(made["operations"], "\n".join(each.expressions() for each in made.values()), registry)
    return made


if __name__ == "__main__":
    for name, dashboard in all_dashboards().items():
        (FOLDER / f"{name}.json").write_text(dashboard.text())
