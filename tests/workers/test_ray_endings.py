"""Why an actor ended, from what Ray says of it."""

import pytest

from bitfront.workers.ray_endings import Ending, ending

# As Ray 2.60 says it.
DETAIL = "Worker unexpectedly exits with a connection error code 2. End of file"
EXITED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: Actor\n\tpid: 7\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR "
    f"Worker exit detail: {DETAIL}. Some common causes include: (1) the process was killed by the OOM killer."
)
NODE = "The actor died unexpectedly before finishing this task.\nThe actor is dead because its node has died."


def error(kind: str, text: str, **more: object) -> Exception:
    found = type(kind, (Exception,), {})(text)
    vars(found).update(more)
    return found


@pytest.mark.parametrize(
    ("raised", "address", "lost", "expected"),
    [
        (
            error("ActorDiedError", EXITED),
            "10.0.0.2",
            False,
            Ending(f"its process on 10.0.0.2 ended: {DETAIL}"),
        ),
        (error("ActorDiedError", EXITED), "10.0.0.2", True, Ending("its node was lost", innocent=True)),
        (error("ActorDiedError", NODE), "", False, Ending("its node was lost", innocent=True)),
        (
            error("ActorDiedError", EXITED, preempted=True),
            "",
            False,
            Ending("its node was lost", innocent=True),
        ),
        (
            error("ActorUnavailableError", "Socket closed"),
            "10.0.0.2",
            False,
            Ending("its node 10.0.0.2 can't be reached any more", innocent=True),
        ),
        (
            error("OutOfMemoryError", "…"),
            "10.0.0.2",
            False,
            Ending("out of memory: Ray ended its process on 10.0.0.2"),
        ),
        (
            error("OwnerDiedError", "…"),
            "",
            False,
            Ending("what it needs is gone from the cluster's object store", True),
        ),
        (
            error("ActorDiedError", "Traceback:\n\nModuleNotFoundError: No module named 'bitfront'"),
            "",
            False,
            Ending("its process ended: ModuleNotFoundError: No module named 'bitfront'"),
        ),
        (error("RayError", ""), "", False, Ending("its process ended: Ray doesn't say why")),
    ],
)
def test_few_words(raised: Exception, address: str, lost: bool, expected: Ending) -> None:
    assert ending(raised, address, lost) == expected
