-- What is known of people by digest: that an erasure names it (no value), and the content that it is the digest of.
select digest, null from erasures
 where tenant = (select id from names where name = %(tenant)s) and not is_event
   and digest = any((select %(digests)s::bytea[])::bytea[])
union all
select digest, value from contents
 where tenant = (select id from names where name = %(tenant)s) and digest = any((select %(digests)s::bytea[])::bytea[])
   and media_type = %(type)s and (%(as_of)s::bigint is null or append_time <= %(as_of)s)
