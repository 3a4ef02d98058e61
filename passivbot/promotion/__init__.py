"""From a study to the configuration that a bot trades: freeze, compare, check, confirm, swap.

``current`` is what a bot reads, ``history`` what a promotion writes; a bot needs nothing else of this room.
"""

from passivbot.versions import LIVE, Follower, Promoted, read

__all__ = ["LIVE", "Follower", "Promoted", "read"]
