"""Names in a configuration that no node of the model has, told all at once."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from bpu_common.errors import ModelUnsupported

_NEAR = 3


def unknown_nodes(
    key: str, names: Sequence[str], known: Collection[str], what: str, where: str, hint: str
) -> ModelUnsupported:
    """The error about all `names` of the list `key` that are not `known`.

    Args:
        names: at least one.
        what: whose nodes these are.
        where: place of the list.
        hint: what to do where no known name is near.
    """
    listed = " and ".join(f"'{name}'" for name in names)
    kind = "is no node" if len(names) == 1 else "are no nodes"
    near: dict[str, None] = {}
    for name in names:
        near.update(dict.fromkeys(difflib.get_close_matches(name, known, n=_NEAR, cutoff=0.4)))
    return ModelUnsupported(
        f"{key} names {listed}, which {kind} of {what}",
        where=where,
        hint=f"near names: {', '.join(near)}" if near else hint,
    )
