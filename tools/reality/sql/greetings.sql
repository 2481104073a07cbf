-- Entries that nobody received within the time that the rulebook gives, and three of them in a row.

create view missed_entries__recount as
select room_id, buyer_id, at_ms as since, at_ms + getvariable('within_ms') as at_ms from counted_entry join room using (room) where missed;

create view missed_entries__published as
select room_id, buyer_id, since, at_ms from notice where kind = 'entry-missed';

-- Consecutive misses in order of entry: a received entry begins a new series, each third miss of a series is a violation.
create table miss as
with numbered as (
    select *, sum(received::int) over (partition by room order by at_ms, position) as series from counted_entry
)
select *, row_number() over (partition by room, series order by at_ms, position) as place
from numbered where missed;

create view greeting_verdicts__recount as
select
    identity('greeting-miss||' || room_id || '|' || since || '|' || at_ms) as verdict_id, room_id, host_id, since, at_ms
from (
    select room, at_ms + getvariable('within_ms') as at_ms, place,
        lag(at_ms, 2) over (partition by room, series order by at_ms, position) as since
    from miss
) join room using (room)
where place % 3 = 0;

create view greeting_verdicts__published as
select verdict_id, room_id, host_id, since, at_ms from verdict where rule = 'greeting-miss';

-- After the second miss of three a violation is near. The next reception clears it, or that the room is forgotten, 24 h
-- after its last event.
create view greetings_at_risk__recount as
select room_id, since, at_ms
from (
    select room, place, at_ms + getvariable('within_ms') as at_ms,
        lag(at_ms) over (partition by room, series order by at_ms, position) as since
    from miss
) join room using (room)
where place % 3 = 2;

create view greetings_at_risk__published as
select room_id, since, at_ms from notice where kind = 'at-risk' and rule = 'greeting-miss';

create view greetings_cleared__recount as
with last_miss as (
    select room, series, max(place) as misses, max(at_ms) filter (place % 3 = 1) as since
    from miss group by all
), next_received as (
    select room, sum(received::int) over (partition by room order by at_ms, position) - 1 as series, received_ms
    from counted_entry qualify received -- the series that it ends
)
select room_id, since, coalesce(received_ms, last_ms + 86400000) as at_ms
from last_miss left join next_received using (room, series) join room using (room)
where misses % 3 = 2 and coalesce(received_ms, last_ms + 86400000) <= getvariable('until_ms');

create view greetings_cleared__published as
select room_id, since, at_ms from notice where kind = 'risk-cleared' and rule = 'greeting-miss';
