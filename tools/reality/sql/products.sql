-- What was paid for a product, and by how many buyers, in 90 days.

create view products__recount as
select supplier_id, product_id, coalesce(sum(amount_usd), 0)::decimal(18, 2) as paid_usd, count(distinct buyer_id) as buyers
from (select value ->> 'supplier_id' as supplier_id, value ->> 'product_id' as product_id from event where topic = 'product')
left join (
    select
        value ->> 'buyer_id' as buyer_id, line ->> 'product_id' as product_id,
        (line ->> 'amount_usd')::decimal(18, 2) as amount_usd
    from event, unnest(from_json(value -> 'lines', '["JSON"]')) as lines (line)
    where topic = 'order' and value ->> 'kind' = 'paid' and at_ms > getvariable('until_ms') - days(90)
    and position not in (select position from rejected)
) using (product_id)
group by all;

create view products__published as
select
    value ->> 'supplier_id', value ->> 'product_id', (value ->> 'paid_usd_90d')::decimal(18, 2),
    (value ->> 'buyers_90d')::bigint
from published where topic = 'product-standing';
