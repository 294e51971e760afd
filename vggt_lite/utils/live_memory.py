"""How many bytes of tensors are alive at once, counted operation by operation."""

import weakref
from collections.abc import Iterable

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveMemory(TorchDispatchMode):
    """Inside `with LiveMemory() as memory:` counts the storages that operations make and that still exist.

    Works on real tensors and on torch's fake ones, which have shapes and no memory.

    Args:
        known: tensors that are not to be counted, such as a model's parameters.

    Attributes:
        now: bytes that are alive.
        stages: the most that were alive at once, by the name given to `stage`; "" before the first.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now, self.stages, self._stage = 0, {}, ""
        self._alive = {x.untyped_storage()._cdata: 0 for x in known}

    @property
    def peak(self) -> int:
        """The most that were alive at once."""
        return max(self.stages.values(), default=0)

    def stage(self, name: str) -> None:
        """What follows counts as this stage."""
        self._stage = name
        self._note()

    def work_space(self, operation, args) -> int:
        """Bytes that an operation takes while it runs, beside what it returns."""
        return 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out = operation(*args, **(kwargs or {}))
        for x in tree_leaves(out):
            if isinstance(x, Tensor) and (place := x.untyped_storage()._cdata) not in self._alive:
                storage = x.untyped_storage()
                self._alive[place] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self._free, place)
        self._note(self.work_space(operation, args))
        return out

    def _note(self, work_space: int = 0) -> None:
        self.stages[self._stage] = max(self.stages.get(self._stage, 0), self.now + work_space)

    def _free(self, place: int) -> None:
        self.now -= self._alive.pop(place, 0)
