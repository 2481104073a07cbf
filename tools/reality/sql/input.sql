-- The raw events and what Vigil published, as tables.

create table event as
select row_number() over () as position, topic, value, (value ->> 'at')::bigint as at_ms
from read_json(
    getvariable('events'), format = 'newline_delimited', columns = {topic: 'VARCHAR', value: 'JSON'}
);

create table published as
select parse_filename(filename, true) as topic, json as value
from read_ndjson_objects(getvariable('outputs') || '/*.jsonl', filename = true);

-- A recording ends at its latest event: what is due later has not happened.
set variable until_ms = (select max(at_ms) from event);

-- The first 32 hexadecimal digits of SHA-256, the identity of what is published.
create macro identity(text) as left(sha256(text), 32);
