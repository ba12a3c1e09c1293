"""The inventory of agents: what was registered of each, what was seen of it, how that changed, and what does not fit together.

An agent is known from registrations and from observation: named by events, standing in the `act` of a token, or the client that
got a token to act with. Pure: of the events given it makes records. A registration says what an agent is from when it takes
effect; how it stood at a time is asked for by the append time up to which events are given.
"""
