"""Whom this process trusts, and whether its own key is trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.cli.doctor.check import Check, Trusted
from ledger.cli.output import show_time
from ledger.signers import load_key
from ledger.trust.reasons import REASONS
from ledger.wording import counted

_SOON: Final = 7 * 86_400_000_000


def statements(trusted: Trusted) -> Iterator[Check]:
    """What the bundle says, in figures."""
    bundle = trusted.bundle
    detail = f"{counted(len(bundle.lines), 'statement')} about {counted(len(bundle.keys), 'key')}, digest {bundle.digest.hex()}"
    yield Check(
        "trust", "ok" if bundle.keys else "note", detail, "" if bundle.keys else "`answerable keys trust` a key"
    )


def ending_keys(trusted: Trusted) -> Iterator[Check]:
    """Keys whose last grant ends soon."""
    now = trusted.here.clock.now()
    for key_id, key in trusted.bundle.keys.items():
        ends = [grant.valid_until for grant in key.grants if grant.valid_until is not None]
        if key.revoked_from is not None or len(ends) < len(key.grants) or not now < max(ends) < now + _SOON:
            continue
        until = show_time(max(ends), utc=trusted.here.settings.utc)
        yield Check("trust", "note", f"key {key_id} ends {until}", "`answerable keys trust` it further, or a new one")


def service_key(trusted: Trusted) -> Iterator[Check]:
    """Whether this service's key may sign for it."""
    here = trusted.here
    service, tenant = here.settings.service, here.settings.tenant
    if service is None:
        return
    signer = load_key(here.settings.key_path(service))
    verdict = trusted.bundle.authority(signer.key_id, tenant, service, here.clock.now())
    if isinstance(verdict, str):
        detail = f"{signer.key_id} may not sign for {service} of {tenant}: {verdict}"
        yield Check("key", "wrong", detail, REASONS[verdict].remedy)
    else:
        yield Check("key", "ok", f"{signer.key_id} signs for {service} of {tenant} as {verdict.role}")


CHECKS: Final = (statements, ending_keys, service_key)
