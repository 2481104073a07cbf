-- What follows from a host's violations: which of its family within 90 days each one is.

create view ladder__recount as
select
    verdict_id, host_id, room_id, family,
    count(*) over (
        partition by host_id, family order by at_ms range between 7776000000 - 1 preceding and current row
    ) as number
from (
    select *, case rule when 'harassment' then null else 'reception' end as family from verdict
    where rule in ('greeting-miss', 'absence')
);

create view ladder__published as
select
    value ->> 'action_id', value ->> 'host_id', value ->> 'room_id', value ->> 'family', (value ->> 'count')::bigint
from published where topic = 'enforcement' and value ->> 'family' = 'reception'
qualify row_number() over (partition by value ->> 'action_id' order by (value ->> 'revision')::bigint desc) = 1;
