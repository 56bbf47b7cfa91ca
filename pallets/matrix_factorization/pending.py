"""A frozen set of ratings whose model is not in force yet."""

from dataclasses import dataclass, field

from pallets.matrix_factorization.config import Config
from pallets.matrix_factorization.frozen import Frozen, learn_frozen
from pallets.matrix_factorization.phi import Phi, Users


@dataclass(slots=True)
class PendingEpoch:
    """Learns from a frozen set, and then follows the ratings that come in, so that the model can be put in force.

    Whoever needs a result first computes it: a node in the background, block after block, so that the block that puts
    the model in force only has to follow what has changed since the last block. All results are functions of their
    arguments; threads that come here at once compute the same. `lists` has the lists at the freeze (of the entries
    only their ratings count); it belongs to the block that froze them, and so does this object.
    """

    generation: int
    lists: Users
    config: Config
    _frozen: Frozen | None = field(default=None)
    _followed: tuple[Users, Phi] | None = field(default=None)

    @property
    def is_computed(self) -> bool:
        """Tell whether the set has been learned from."""
        return self._frozen is not None

    def compute(self) -> Frozen:
        """Return what is learned from the frozen set."""
        frozen = self._frozen
        if frozen is None:
            lists = [(account, entry.ratings.entries) for account, entry in self.lists.items()]
            frozen = self._frozen = learn_frozen(lists, self.config)
        return frozen

    def has_followed(self, users: Users) -> bool:
        """Tell whether `follow` has nothing to do for these users."""
        return self._followed is not None and self._followed[0] is users

    def follow(self, users: Users, item_count: int) -> Phi:
        """Return the model in which this epoch is in force and these lists are those of now."""
        frozen = self.compute()
        source, phi = self._followed or (self.lists, Phi.at_freeze(frozen, self.generation, self.lists, item_count))
        phi = phi.sized(max(item_count, phi.items.size)).moved(source, users).sized(item_count)
        self._followed = users, phi
        return phi
