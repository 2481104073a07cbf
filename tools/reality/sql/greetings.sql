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
