"""What rules make of names (`bench.hookspecs.Rule`), held to their contract."""

from dataclasses import dataclass

from bench.errors import UsageError, fault
from bench.hookspecs import Offer, Rule


@dataclass(frozen=True)
class RuleOfPlugin:
    """A rule with the plugin that it came from, and the kind of what is had by it."""

    kind: str
    plugin: str
    rule: Rule

    def read(self, name: str) -> Offer | None:
        """What a name means, which may be another than the thing's own; None where it does not follow the rule.

        Raises:
            UsageError: the rule failed, or made no offer.
        """
        try:
            offer: object = self.rule.read(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit too, as of whatever a plugin does
            raise self._unread(name, fault(error)) from error
        if offer is None or isinstance(offer, Offer):
            return offer
        raise self._unread(name, f"it made a {type(offer).__name__}, no Offer and not None")

    def offers(self, name: str) -> bool:
        """Whether something has that very name. Raises as `read`."""
        offer = self.read(name)
        return offer is not None and offer.name == name

    def _unread(self, name: str, said: str) -> UsageError:
        whose = f"the rule {self.rule.names!r} of plugin {self.plugin!r}"
        return UsageError(f"{whose} cannot tell what the {self.kind} {name!r} is: {said}")
