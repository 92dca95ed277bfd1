"""Why an actor of Ray ended, in few words: what Ray says is a page."""

from __future__ import annotations

from bitfront.workers.endings import Ending

_DETAIL = "Worker exit detail: "
_NODE_GONE = ("its node has died", "its node was terminated", "node was terminated", "node has died")


def ending(error: Exception, address: str, lost: bool) -> Ending:
    """What to say of an actor on a node with this address; "" where it is unknown. `lost`: the node is gone.

    >>> ending(RuntimeError("The actor is dead because its node has died."), "", lost=False)
    Ending(reason='its node was lost', innocent=True)
    """
    kind, text = type(error).__name__, str(error)
    on = f" on {address}" if address else ""
    if kind == "OutOfMemoryError":
        return Ending(f"out of memory: Ray ended its process{on}")
    if lost or getattr(error, "preempted", False) or any(sign in text for sign in _NODE_GONE):
        return Ending("its node was lost", innocent=True)
    if kind == "ActorUnavailableError":
        return Ending(f"its node{on.replace(' on', '')} can't be reached any more", innocent=True)
    if kind in (
        "ObjectLostError",
        "OwnerDiedError",
        "ReferenceCountingAssertionError",
        "ObjectFetchTimedOutError",
    ):
        return Ending("what it needs is gone from the cluster's object store", innocent=True)
    return Ending(f"its process{on} ended: {_detail(text)}")


def _detail(text: str) -> str:
    r"""The sentence that matters.

    >>> _detail("It died.\nWorker exit detail: It exits with code 3. Some common causes include: many.")
    'It exits with code 3'
    """
    _, found, detail = text.partition(_DETAIL)
    if found:
        return detail.partition(" Some common causes")[0].strip().removesuffix(".")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines[-1] if lines else "Ray doesn't say why").removesuffix(".")
