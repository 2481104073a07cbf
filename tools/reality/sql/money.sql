-- Money of 90 days and of the month, and the rights that the month's brings.

create view money__recount as
select
    *,
    case when gmv_month >= 15000 then 15 when gmv_month >= 8000 then 10 when gmv_month >= 3000 then 5
        when gmv_month >= 1000 then 2 when gmv_month >= 500 then 1 else 0 end as challenge_rights
from money_figures(getvariable('until_ms'));

create view money__published as
select
    supplier_id, (metrics ->> 'gmv_90d')::decimal(18, 2), (metrics ->> 'gmv_month')::decimal(18, 2), rights
from score;
