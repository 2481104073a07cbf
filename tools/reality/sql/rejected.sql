-- An amount of nothing is no amount: a payment, or a line of an order, that has one is rejected.

create table rejected as
select position from event
where topic = 'payment' and (value ->> 'amount_usd')::decimal(18, 2) <= 0
union all
select distinct position from event, unnest(from_json(value -> 'lines', '["JSON"]')) as lines (line)
where topic = 'order' and (line ->> 'amount_usd')::decimal(18, 2) <= 0;

create view rejected_lines__recount as select position, 'malformed' as reason from rejected;

create view rejected_lines__published as
select (value ->> 'offset')::bigint, value ->> 'reason' from published where topic = 'dead-letter';
