"""Members of a role that have a default."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from builtins import property as default
else:

    class default:  # noqa: N801 - stands where `property` does
        """A property that an attribute of the instance or a dataclass's field may replace."""

        def __init__(self, compute: Callable[[Any], Any]) -> None:
            self.compute, self.__doc__ = compute, compute.__doc__

        def __get__(self, instance: Any, owner: type) -> Any:
            if instance is None:  # a field of this name has no default value
                raise AttributeError(f"{owner.__name__} has it on instances only")
            return self.compute(instance)


__all__ = ["default"]
