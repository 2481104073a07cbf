-- Five continuous minutes of frames without a face, in which the host said nothing.

-- A series of frames: no gap above 15 s, and no frame with a face.
create table faceless as
with marked as (
    select *,
        face or coalesce(face_before or at_ms - before_ms > 15000, true) as breaks
    from (
        select *,
            lag(at_ms) over (partition by room order by at_ms) as before_ms,
            lag(face) over (partition by room order by at_ms) as face_before
        from frame
    )
), numbered as (
    select *, sum(breaks::int) over (partition by room order by at_ms) as series from marked
)
select room, series, at_ms from numbered where not face;

-- A run begins at the first frame of a series, and at each reception within it.
create table absence_run as
with series as (
    select room, series, min(at_ms) as first_at, max(at_ms) as last_at from faceless group by all
), starts as (
    select room, series, first_at as since, last_at from series
    union
    select room, series, reception.at_ms, last_at
    from series join reception using (room)
    where reception.at_ms between first_at and last_at
)
select *, lead(since) over (partition by room, series order by since) as until from starts;

-- The violation is published by the first frame of the run at or after its time, unless a reception came before that
-- frame or with it.
create macro absence_at(after_ms) as table
select run.room, run.since, run.since + after_ms as at_ms
from absence_run as run join faceless using (room, series)
where faceless.at_ms >= run.since + after_ms and (run.until is null or faceless.at_ms < run.until)
group by all;

create view absence_verdicts__recount as
select identity('absence||' || room_id || '|' || since || '|' || at_ms) as verdict_id, room_id, host_id, since, at_ms
from absence_at(300000) join room using (room);

create view absence_verdicts__published as
select verdict_id, room_id, host_id, since, at_ms from verdict where rule = 'absence';

create view absences_at_risk__recount as
select room_id, since, at_ms from absence_at(150000) join room using (room);

create view absences_at_risk__published as
select room_id, since, at_ms from notice where kind = 'at-risk' and rule = 'absence';

-- A run that was at risk and gives no violation: cleared when the host shows reception, or 15 s after the last frame.
create view absences_cleared__recount as
with cleared as (
    select run.room, run.since, coalesce(run.until, run.last_at + 15000) as at_ms
    from absence_run as run
    join absence_at(150000) as risk on risk.room = run.room and risk.since = run.since
    left join absence_at(300000) as violation on violation.room = run.room and violation.since = run.since
    where violation.room is null
)
select room_id, since, at_ms from cleared join room using (room) where at_ms <= getvariable('until_ms');

create view absences_cleared__published as
select room_id, since, at_ms from notice where kind = 'risk-cleared' and rule = 'absence';

-- A signal is lost 15 s after a frame that no other follows, and back with the next frame.
create table silence as
select room, at_ms as last_ms, lead(at_ms) over (partition by room order by at_ms) as next_ms from frame;

create view lost_signals__recount as
select room_id, 'signal-lost' as kind, silence.last_ms as since, silence.last_ms + 15000 as at_ms
from silence join room using (room)
where coalesce(next_ms - silence.last_ms > 15000, true) and silence.last_ms + 15000 <= getvariable('until_ms')
union all
select room_id, 'signal-back', silence.last_ms, next_ms
from silence join room using (room) where next_ms - silence.last_ms > 15000;

create view lost_signals__published as
select room_id, kind, since, at_ms from notice where kind in ('signal-lost', 'signal-back');
