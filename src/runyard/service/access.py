"""Whether somebody may change what they see."""

from __future__ import annotations

from collections.abc import Sequence

from runyard.domain.user import Actor
from runyard.errors import Forbidden
from runyard.store import views
from runyard.store.database import Tx


def require_own(tx: Tx, actor: Actor, seqs: Sequence[int]) -> None:
    """Raises ``Forbidden`` unless the actor may change all of these jobs."""
    actor.require_change()
    if actor.sees is None:
        return
    for owner in sorted(views.owners(tx, seqs)):
        if not actor.may_change(owner):
            who = f"{owner} or an admin" if owner else "an admin"
            raise Forbidden(f"only {who} may change this")
