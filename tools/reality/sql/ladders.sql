-- What follows from a host's violations: which of its family each one is (within 90 days for reception, ever for
-- harassment), the steps that this leads to, and until when the host is banned.

create table counted_verdict as
select
    *,
    case family when 'reception' then count(*) over (
        partition by host_id, family order by at_ms range between 7776000000 - 1 preceding and current row
    ) else count(*) over (partition by host_id, family order by at_ms) end as upto,
    count(*) over (partition by host_id, family, at_ms) as at_once,
    row_number() over (partition by host_id, family, at_ms order by verdict_id) as place
from (
    select *, case when rule = 'harassment' then 'harassment' else 'reception' end as family from verdict
    where rule in ('greeting-miss', 'absence', 'harassment')
);

create table step as
select
    *,
    case when family = 'harassment' then null
        when number = 1 then null when number = 2 then 7 when number = 3 then 15 else 30 end as ban_days,
    case when family = 'harassment' and number = 1 then ['warn', 'take-offline', 'delete-content']
        when family = 'harassment' then ['warn', 'take-offline', 'delete-content', 'freeze']
        when number = 1 then ['warn'] else ['close', 'ban'] end as steps
-- Of violations at one time, those with a smaller identity come first.
from (select *, upto - at_once + place as number from counted_verdict);

create view actions__recount as
select
    verdict_id, host_id, room_id, family, number, steps, ban_days,
    -- A ban lasts at least as long as any earlier one of the host.
    case when ban_days is not null then max(at_ms + ban_days * 86400000::bigint) over (
        partition by host_id order by at_ms, verdict_id
    ) end as ban_until
from step;

create view actions__published as
select
    value ->> 'action_id', value ->> 'host_id', value ->> 'room_id', value ->> 'family', (value ->> 'count')::bigint,
    from_json(value -> 'steps', '["VARCHAR"]'), (value ->> 'ban_days')::int, (value ->> 'ban_until')::bigint
from published where topic = 'enforcement' and value ->> 'family' in ('reception', 'harassment')
qualify row_number() over (partition by value ->> 'action_id' order by (value ->> 'revision')::bigint desc) = 1;
