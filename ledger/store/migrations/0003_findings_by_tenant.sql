-- What is wrong is listed by tenant, in order of storage: a tenant's list must not walk over another's.
create index findings_tenant on findings (tenant, id);
create index rejected_tenant on rejected (tenant, id);
create index chains_tenant on chains (tenant, id);
