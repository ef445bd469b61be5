"""Whether somebody may change what they see."""

from __future__ import annotations

from collections.abc import Sequence

from runyard.domain.user import Actor
from runyard.errors import Forbidden
from runyard.store import batches, views
from runyard.store.database import Tx


def require_own(tx: Tx, actor: Actor, seqs: Sequence[int]) -> None:
    """Raises ``Forbidden`` unless the actor may change all of these jobs."""
    actor.require_change()
    if actor.sees is None:
        return
    _require_of(actor, sorted(views.owners(tx, seqs)))


def require_own_batch(tx: Tx, actor: Actor, seq: int) -> None:
    """The same of a batch and all its members."""
    actor.require_change()
    if actor.sees is None:
        return
    members = views.members_of(tx, seq)
    _require_of(actor, [batches.batch(tx, seq).submitted_by, *views.owners(tx, members)])


def _require_of(actor: Actor, owners: Sequence[str]) -> None:
    for owner in owners:
        if not actor.may_change(owner):
            who = f"{owner} or an admin" if owner else "an admin"
            raise Forbidden(f"only {who} may change this")
