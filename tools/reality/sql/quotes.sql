-- Quotes of the month, response and reply rates.

create view quote_metrics__recount as
select
    *, round(rfqs_in_time / nullif(rfqs_quoted, 0), 6) as response_rate,
    round(rfqs_replied_30d / nullif(rfqs_quoted_30d, 0), 6) as reply_rate
from quote_figures(getvariable('until_ms'));

create view quote_metrics__published as
select
    supplier_id, (metrics ->> 'quotes_month')::bigint,
    (counts ->> 'rfqs_quoted')::bigint, (counts ->> 'rfqs_in_time')::bigint,
    (counts ->> 'rfqs_quoted_30d')::bigint, (counts ->> 'rfqs_replied_30d')::bigint,
    (metrics ->> 'response_rate')::double, (metrics ->> 'reply_rate')::double
from score;
