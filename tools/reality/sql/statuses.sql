-- What a room shows at the end of the input: entries and the time to their reception, comments, seconds on air.

create table entries_of as
with ranked as (
    select *,
        received_ms - at_ms as took,
        row_number() over (partition by room, received order by received_ms - at_ms) as place,
        count(*) over (partition by room, received) as number
    from counted_entry
)
select
    room, count(*) as entries, count(*) filter (received) as received, count(*) filter (missed) as missed,
    max(took) filter (received and place = ceil(number * 0.5)) / 1000 as p50,
    max(took) filter (received and place = ceil(number * 0.95)) / 1000 as p95
from ranked group by room;

create table comments_of as
select
    room, sum(number) filter (author_role = 'host') as host, sum(number) filter (author_role = 'buyer') as buyer,
    count(*) filter (author_role = 'buyer' and number >= 3) as engaged
from (select room, author_id, author_role, count(*) as number from comment group by all)
group by room;

-- A live frame counts for the time to the next one, or for none where that is above 15 s.
create table seconds_of as
select room, sum(lasts) / 1000 as on_air, sum(lasts) filter (not face) / 1000 as absent
from (
    select room, face, lead(at_ms) over (partition by room order by at_ms) - at_ms as lasts from frame
) where lasts <= 15000
group by room;

create view room_figures__recount as
select
    room_id, coalesce(entries, 0) as entries, coalesce(received, 0) as received, coalesce(missed, 0) as missed, p50, p95,
    coalesce(host, 0) as by_host, coalesce(buyer, 0) as by_buyers, coalesce(engaged, 0) as engaged,
    coalesce(on_air, 0) as on_air, coalesce(absent, 0) as absent
from room left join entries_of using (room) left join comments_of using (room) left join seconds_of using (room)
where last_ms + 86400000 > getvariable('until_ms');

create view room_figures__published as
select
    value ->> 'room_id', (value ->> 'entries')::bigint, (value ->> 'received')::bigint, (value ->> 'missed')::bigint,
    (value -> 'reception_seconds' ->> 'p50')::double, (value -> 'reception_seconds' ->> 'p95')::double,
    (value -> 'comments' ->> 'host')::bigint, (value -> 'comments' ->> 'buyer')::bigint,
    (value ->> 'engaged_buyers')::bigint, (value ->> 'on_air_seconds')::double, (value ->> 'absent_seconds')::double
from published where topic = 'room-status';
