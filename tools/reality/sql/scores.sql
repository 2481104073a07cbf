-- Points by rank among the suppliers of one industry that quoted this month, and by thresholds; their sum.

create macro points_by_rank(place, number) as
case
    when place <= ceil(number / 10) then 20
    when number = ceil(number / 10) + 1 then 19
    else floor(19 * (number - place) / (number - ceil(number / 10) - 1) + 0.5)
end;

create macro points_at(now_ms) as table
with industry_of as (
    select supplier_id, arg_max(industry, at_ms) as industry from profile where at_ms <= now_ms group by all
), place as (
    select
        supplier_id, quotes_month, rfqs_in_time,
        count(*) over (partition by industry) as number,
        rank() over (partition by industry order by quotes_month desc) as by_quotes,
        rank() over (partition by industry order by rfqs_in_time / nullif(rfqs_quoted, 0) desc nulls last) as by_response
    from quote_figures(now_ms) left join industry_of using (supplier_id) where quotes_month > 0
)
select
    supplier_id,
    coalesce(points_by_rank(by_quotes, number), 0)::bigint as quotes,
    case when coalesce(place.rfqs_in_time, 0) = 0 then 0 else points_by_rank(by_response, number) end::bigint as response,
    case when rfqs_replied_30d = 0 then 0
        when rfqs_replied_30d * 2 >= rfqs_quoted_30d then 30
        when rfqs_replied_30d * 10 >= rfqs_quoted_30d * 3 then 24
        when rfqs_replied_30d * 10 >= rfqs_quoted_30d then 12
        else 6 end as reply,
    case when gmv_90d >= 35000 then 30 when gmv_90d >= 20000 then 20 when gmv_90d >= 10000 then 15
        when gmv_90d >= 1000 then 10 when gmv_90d >= 500 then 5 when gmv_90d > 0 then 2 else 0 end as gmv,
    by_quotes, by_response, number
from quote_figures(now_ms) join money_figures(now_ms) using (supplier_id) left join place using (supplier_id);

create view scores__recount as
select
    supplier_id, quotes, response, reply, gmv, by_quotes, by_response, number,
    quotes + response + reply + gmv as predicted
from points_at(getvariable('until_ms'));

create view scores__published as
select
    supplier_id, (points ->> 'quotes')::bigint, (points ->> 'response')::bigint, (points ->> 'reply')::bigint,
    (points ->> 'gmv')::bigint, (ranks -> 'quotes' ->> 'rank')::bigint, (ranks -> 'response' ->> 'rank')::bigint,
    (ranks -> 'quotes' ->> 'of')::bigint, predicted
from score;

-- The score of the last month that ended at least 48 hours ago, as of its last millisecond.
set variable month_end_ms = (select month_of(getvariable('until_ms') - days(2)) - 1);

create view assessed_scores__recount as
select
    supplier_id,
    strftime(timezone('America/Los_Angeles', make_timestamptz(getvariable('month_end_ms') * 1000)), '%Y-%m') as month,
    quotes + response + reply + gmv as score
from points_at(getvariable('month_end_ms'));

create view assessed_scores__published as
select supplier_id, assessed ->> 'month', (assessed ->> 'score')::bigint from score
where assessed ->> 'month' is not null;
