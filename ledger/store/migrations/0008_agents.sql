-- The inventory goes from agent to agent of one tenant, and the search by agent is within a tenant anyway.
create index events_tenant_agent on events (tenant, agent, event_id) where agent is not null;
drop index events_agent;
