"""Which events the sentinel judged so: the rows behind the numbers of ``ledger.store.coverage``. Who triggered one is always
answered anew, from the events."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ledger.attribution.answer import REASONS
from ledger.errors import InvalidEvent
from ledger.wording import no_such

CLASSES: Final = {
    "attributed": "to a person by name",
    "unattended": "a schedule or webhook, and a person answers for it",
    "unattended_alone": "a schedule or webhook, and nobody is known to answer for it",
    "external": "handed over by another ledger",
    "erased_principal": "to a person who was erased",
    "archived": "the events that would tell were moved to an archive",
    "unattributed": "to nobody",
}
"""What an event is judged as and counted by coverage, the best first, in words."""


class Judged(NamedTuple):
    """What events must have been judged as, all of it; ``reason`` is that of what is attributed to nobody."""

    class_: str | None = None
    reason: str | None = None

    def checked(self) -> Judged:
        """Itself; raises ``InvalidEvent`` for a class or reason of which there is none."""
        if self.class_ is not None and self.class_ not in CLASSES:
            raise InvalidEvent(no_such("class", self.class_, CLASSES))
        if self.reason is not None and self.reason not in REASONS:
            raise InvalidEvent(no_such("reason", self.reason, list(REASONS)))
        return self

    def conditions(self) -> list[str]:
        """SQL on a row ``j`` of judgements, with the parameters of ``given``, such that an index has the rows in order of id: by
        class (but for what is attributed), of the unattended by whether anybody answers for them, and by reason."""
        found = []
        if self.class_ in ("unattended", "unattended_alone"):
            found += ["j.class = 'unattended'", f"j.responsible = {str(self.class_ == 'unattended').lower()}"]
        elif self.class_ is not None:
            found.append("j.class = %(class)s")
        if self.reason is not None:
            found.append("j.reason = %(reason)s")
        if found and self.class_ != "attributed":
            found.append("j.class <> 'attributed'")
        return found

    def given(self) -> dict[str, Any]:
        """The parameters of ``conditions``."""
        return {"class": self.class_, "reason": self.reason}


ANY: Final = Judged()
