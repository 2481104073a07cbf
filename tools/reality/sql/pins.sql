-- Three places an RFQ, first come first served; a rejected quote cannot be pinned.

create table asked as
select
    pin.rfq_id, pin.quote_id, pin.supplier_id, pin.at_ms, pin.position,
    exists (
        select 1 from quote as rejection
        where rejection.kind = 'rejected' and rejection.supplier_id = pin.supplier_id
        and rejection.quote_id = pin.quote_id and (rejection.at_ms, rejection.position) < (pin.at_ms, pin.position)
    ) as rejected
from quote as pin where kind = 'pinned';

create view pins__recount as
select
    rfq_id, quote_id, supplier_id, at_ms,
    case when not rejected and turn <= 3 then 'granted' else 'refused' end as decision,
    case when not rejected and turn <= 3 then turn end as place,
    case when rejected then 'rejected' when turn > 3 then 'full' end as reason
from (
    select *, sum((not rejected)::int) over (partition by rfq_id order by at_ms, position) as turn from asked
);

create view pins__published as
select
    value ->> 'rfq_id', value ->> 'quote_id', value ->> 'supplier_id', (value ->> 'at')::bigint,
    value ->> 'decision', (value ->> 'place')::bigint, value ->> 'reason'
from published where topic = 'pin-decision';
