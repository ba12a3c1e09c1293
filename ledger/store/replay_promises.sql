-- What seals promised: within how many seconds the next one of the chain follows, when that was due by append time, and when it came.
select s.id, s.next_within, s.append_time + s.next_within * 1000000,
       (select min(n.append_time) from seals n
         where n.chain = s.chain and n.number = s.number + 1
           and (%(as_of)s::bigint is null or n.append_time <= %(as_of)s))
  from seals s
 where s.id = any((select %(seals)s::bigint[])::bigint[])
