-- Suppliers: quotes, payments and the figures that follow from them at one time. Each identity counts once: the first to
-- arrive.

create table quote as
select
    value ->> 'supplier_id' as supplier_id, value ->> 'kind' as kind, value ->> 'quote_id' as quote_id,
    value ->> 'rfq_id' as rfq_id, at_ms, (value ->> 'rfq_at')::bigint as rfq_ms, position
from event where topic = 'quote'
qualify row_number() over (partition by supplier_id, quote_id, kind order by position) = 1;

create table payment as
select
    value ->> 'supplier_id' as supplier_id, value ->> 'kind' as kind, value ->> 'rfq_id' as rfq_id,
    (value ->> 'amount_usd')::decimal(18, 2) as amount_usd, at_ms, position
from event where topic = 'payment' and (value ->> 'amount_usd')::decimal(18, 2) > 0
qualify row_number() over (partition by supplier_id, value ->> 'payment_id', kind order by position) = 1;

create table profile as
select value ->> 'supplier_id' as supplier_id, value ->> 'industry' as industry, at_ms
from event where topic = 'supplier-profile';

create table score as
select
    value ->> 'supplier_id' as supplier_id, value -> 'metrics' as metrics, value -> 'counts' as counts,
    value -> 'points' as points, value -> 'ranks' as ranks, (value ->> 'predicted')::bigint as predicted,
    value -> 'assessed' as assessed, (value ->> 'gmv_challenge_rights')::bigint as rights
from published where topic = 'supplier-score';

-- The first millisecond of the month of a time, in the marketplace's calendar.
create macro month_of(ms) as
epoch_ms(timezone('America/Los_Angeles',
    date_trunc('month', timezone('America/Los_Angeles', make_timestamptz(ms * 1000)))));

-- N days are N times 24 hours.
create macro days(number) as number * 86400000::bigint;

create macro suppliers_at(now_ms) as table
select supplier_id from quote where at_ms <= now_ms
union select supplier_id from payment where at_ms <= now_ms
union select supplier_id from profile where at_ms <= now_ms;

-- Response: by the first quote to each RFQ, where that lies within the last 30 days; exactly 12 h is within.
-- Reply: over the RFQs with a quote of the last 30 days, whether one of these quotes has a reply.
create macro quote_figures(now_ms) as table
with submitted as (
    select * from quote where kind = 'submitted' and at_ms <= now_ms
), this_month as (
    select supplier_id, count(distinct rfq_id) as quotes_month
    from submitted where at_ms >= month_of(now_ms) group by all
), first_quote as (
    select supplier_id, rfq_id, min(at_ms) as at_ms, arg_min(rfq_ms, (at_ms, position)) as rfq_ms
    from submitted group by all
), response as (
    select supplier_id, count(*) as quoted, count(*) filter (at_ms - rfq_ms <= 12 * 3600000) as in_time
    from first_quote where at_ms > now_ms - days(30) group by all
), replied_quote as (
    select distinct supplier_id, quote_id from quote where kind = 'replied' and at_ms <= now_ms
), rfq as (
    select supplier_id, rfq_id, bool_or(replied_quote.quote_id is not null) as replied
    from submitted left join replied_quote using (supplier_id, quote_id)
    where at_ms > now_ms - days(30) group by all
), reply as (
    select supplier_id, count(*) as quoted, count(*) filter (replied) as replied from rfq group by all
)
select
    supplier_id, coalesce(quotes_month, 0) as quotes_month,
    coalesce(response.quoted, 0) as rfqs_quoted, coalesce(in_time, 0) as rfqs_in_time,
    coalesce(reply.quoted, 0) as rfqs_quoted_30d, coalesce(replied, 0) as rfqs_replied_30d
from suppliers_at(now_ms) left join this_month using (supplier_id)
left join response using (supplier_id) left join reply using (supplier_id);

-- What was credited less what was refunded in 90 days, and what was paid this month, both linked to an RFQ.
create macro money_figures(now_ms) as table
with linked as (
    select * from payment where rfq_id is not null and at_ms <= now_ms
), sums as (
    select
        supplier_id,
        sum(case kind when 'settled' then amount_usd when 'refunded' then -amount_usd end)
            filter (at_ms > now_ms - days(90)) as credited,
        sum(amount_usd) filter (kind = 'paid' and at_ms >= month_of(now_ms)) as paid
    from linked group by all
)
select
    supplier_id, greatest(coalesce(credited, 0), 0)::decimal(18, 2) as gmv_90d,
    coalesce(paid, 0)::decimal(18, 2) as gmv_month
from suppliers_at(now_ms) left join sums using (supplier_id);
