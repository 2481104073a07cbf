-- Rooms: frames, entries, and comments that show reception.

-- A room is forgotten 24 h after its last event; a later event begins a new room under the same name. `room` is one such
-- life of a room.
create table room_event as
with lives as (
    select
        *, value ->> 'room_id' as room_id,
        coalesce(at_ms - lag(at_ms) over (partition by value ->> 'room_id' order by at_ms, position) > 86400000, true) as begins
    from event where value ->> 'room_id' is not null
)
select
    *, room_id || ' ' || sum(begins::int) over (partition by room_id order by at_ms, position) as room
from lives;

create table room as
select room, room_id, arg_min(value ->> 'host_id', (at_ms, position)) as host_id, max(at_ms) as last_ms
from room_event group by all;

create table frame as
select room, at_ms, (value ->> 'face')::bool as face
from room_event where topic = 'frame-status' and value ->> 'stream' = 'live';

create table first_frame as
select room, min(at_ms) as first_ms from frame group by room;

create table entry as
select room, value ->> 'buyer_id' as buyer_id, at_ms, position
from room_event where topic = 'buyer-entry';

create table comment as
select
    room, value ->> 'comment_id' as comment_id, value ->> 'author_id' as author_id,
    value ->> 'author_role' as author_role, value ->> 'text' as text, at_ms, position
from room_event where topic = 'comment';

-- What remains of a text without characters that cannot be seen.
create macro seen(text) as
regexp_replace(text, '[\p{Cc}\p{Cf}\p{Mn}\p{Me}\p{Zs}\p{Zl}\p{Zp}\x{115F}\x{1160}\x{2800}\x{3164}\x{FFA0}]', '', 'g');

-- None of these sources has intents: every comment of a host that says something is a reception.
create table reception as
select distinct room, at_ms from comment where author_role = 'host' and seen(text) <> '';

-- An entry counts in a live room, from a buyer who has no undecided entry there. (At the same time an entry comes
-- before a frame.) A buyer's earlier entry is undecided until its reception, or until it is missed.
create table counted_entry as
with decided as (
    select
        room, buyer_id, entry.at_ms, position,
        (
            select min(greatest(reception.at_ms, entry.at_ms)) from reception
            where reception.room = entry.room
            and reception.at_ms between entry.at_ms - 1000 and entry.at_ms + getvariable('within_ms')
        ) as received_ms
    from entry join first_frame using (room) where first_ms < entry.at_ms
)
select
    *,
    received_ms is null and at_ms + getvariable('within_ms') <= getvariable('until_ms') as missed,
    received_ms is not null and received_ms <= getvariable('until_ms') as received
from decided
qualify coalesce(
    at_ms > lag(coalesce(received_ms, at_ms + getvariable('within_ms'))) over (
        partition by room, buyer_id order by at_ms, position
    ), true
);

create table verdict as
select
    value ->> 'verdict_id' as verdict_id, value ->> 'rule' as rule, value ->> 'room_id' as room_id,
    value ->> 'host_id' as host_id, (value ->> 'since')::bigint as since, (value ->> 'at')::bigint as at_ms
from published where topic = 'verdict';

create table notice as
select
    value ->> 'kind' as kind, value ->> 'rule' as rule, value ->> 'room_id' as room_id,
    value ->> 'buyer_id' as buyer_id, (value ->> 'since')::bigint as since, (value ->> 'at')::bigint as at_ms
from published where topic = 'notice';
