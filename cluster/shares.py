"""How several studies divide the processors of a cluster: by weight, and no more than each can feed."""

from collections.abc import Iterable
from dataclasses import dataclass

from cluster.board import Notice


@dataclass(frozen=True)
class Claim:
    """What one running study wants.

    Attributes
    ----------
    id
        Of the study.
    weight
        Relative to the others; above 0.
    demand
        Most workers that it can feed; 0: as many as there are.
    started
        UTC seconds; the oldest comes first where there are fewer processors than studies.
    """

    id: str
    weight: float
    demand: int
    started: float

    @classmethod
    def of(cls, notice: Notice) -> "Claim":
        """Return the claim of a study that says so on the board."""
        return cls(notice.id, notice.weight, notice.demand, notice.started)


def fair_shares(claims: Iterable[Claim], processors: int) -> dict[str, int]:
    """Return id → workers.

    Every study gets one worker, as far as there are processors. The rest is divided by weight: whoever has
    least for its weight gets the next one, until it has what it demands. What one can't feed goes to the
    others. All studies read the same board, so they come to the same division, each by itself.

    Parameters
    ----------
    claims
        Of the studies that run.
    processors
        Of the cluster.
    """
    ordered = sorted(claims, key=lambda claim: (claim.started, claim.id))
    most = {claim.id: claim.demand or processors for claim in ordered}
    shares = {claim.id: int(place < processors) for place, claim in enumerate(ordered)}
    left = processors - sum(shares.values())
    while left > 0:
        open_claims = [claim for claim in ordered if shares[claim.id] < most[claim.id]]
        if not open_claims:
            break
        # The one that would still have least for its weight with one more.
        poorest = min(open_claims, key=lambda claim: (shares[claim.id] + 1) / claim.weight)
        shares[poorest.id] += 1
        left -= 1
    return shares
