-- Five near-identical comments of a host within 60 s.

create macro folded(text) as
trim(regexp_replace(
    regexp_replace(
        nfkc_casefold(regexp_replace(
            nfkd(regexp_replace(
                text, '[\t-\r\x{1C}-\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]', ' ', 'g'
            )),
            '[\p{Cc}\p{Cf}\p{Mn}\p{Me}\x{115F}\x{1160}\x{2800}\x{3164}\x{FFA0}]', '', 'g'
        )),
        '[\p{P}\p{S}]', '', 'g'
    ),
    '[ \x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]+', ' ', 'g'
));

-- DuckDB's levenshtein() counts bytes. So what two texts do not have in common at their beginning and their end is
-- written with one byte for each character: there are 127 of these. Where that has more different characters, an error is
-- better than a wrong distance.
create macro in_common(one, other) as
coalesce(list_position(list_transform(list_zip(one, other), lambda pair: coalesce(pair[1] = pair[2], false)), false),
    len(one) + 1) - 1;

create macro one_byte_each() as array_to_string(list_transform(range(1, 128), lambda code: chr(code::int)), '');

create macro distance_by_alphabet(one, other, alphabet) as
case when len(alphabet) > 127 then error('more than 127 different characters: ' || array_to_string(one, '')) else
    levenshtein(
        translate(array_to_string(one, ''), array_to_string(alphabet, ''), left(one_byte_each(), len(alphabet))),
        translate(array_to_string(other, ''), array_to_string(alphabet, ''), left(one_byte_each(), len(alphabet)))
    ) end;

create macro distance_of_rest(one, other) as
distance_by_alphabet(one, other, list_distinct(list_concat(one, other)));

create macro without_end(one, other, number) as
distance_of_rest(one[:len(one) - number], other[:len(other) - number]);

create macro without_begin(one, other) as
without_end(one, other, in_common(list_reverse(one), list_reverse(other)));

create macro distance_of_lists(one, other) as
without_begin(one[in_common(one, other) + 1:], other[in_common(one, other) + 1:]);

create macro distance(one, other) as distance_of_lists(string_split(one, ''), string_split(other, ''));

create table said as
with texts as (select *, folded(text) as folded_text from comment where author_role = 'host')
select room, comment_id, at_ms, position, folded_text as text, length(folded_text) as characters
from texts join first_frame using (room)
where screen_columns(folded_text) >= 12
and at_ms > first_ms;

-- Pairs of one room within 60 s. At most a tenth of the characters of the longer text may differ: a character has at
-- most four bytes, so a larger distance in bytes decides without looking at characters.
create table pair as
select
    later.room, later.comment_id, later.at_ms, later.position, earlier.at_ms as earlier_at, earlier.position as earlier_position,
    later.text as one, earlier.text as other, greatest(later.characters, earlier.characters) // 10 as allowed
from said as later join said as earlier
on later.room = earlier.room and earlier.at_ms >= later.at_ms - 60000
and (earlier.at_ms, earlier.position) < (later.at_ms, later.position)
where abs(later.characters - earlier.characters) <= greatest(later.characters, earlier.characters) // 10;

create table alike as
select room, comment_id, at_ms, position, earlier_at, earlier_position from pair
where one = other
or case when levenshtein(one, other) > 4 * allowed then false else distance(one, other) <= allowed end;

-- The five are the comment and the four latest before it.
create table repeated as
select room, comment_id, at_ms, position, any_value(earlier_at) filter (place = 4) as since
from (
    select *, row_number() over (partition by room, comment_id order by earlier_at desc, earlier_position desc) as place
    from alike
)
group by all having max(place) >= 4;

-- Once an hour a room: the first, then the first that comes an hour or more after the last one that counted.
create table counted_repeat as
with recursive counted as (
    select room, min(at_ms) as at_ms from repeated group by room
    union all
    select room, (
        select min(next.at_ms) from repeated as next
        where next.room = counted.room and next.at_ms >= counted.at_ms + 3600000
    ) as at_ms
    from counted where at_ms is not null
)
select * from counted where at_ms is not null;

create view repeat_verdicts__recount as
select identity('harassment||' || room_id || '|' || since || '|' || at_ms) as verdict_id, room_id, host_id, since, at_ms
from counted_repeat join (
    select room, at_ms, arg_min(since, position) as since from repeated group by all
) using (room, at_ms) join room using (room);

create view repeat_verdicts__published as
select verdict_id, room_id, host_id, since, at_ms from verdict where rule = 'harassment';
