"""Keeps the days on which readers read, as svc_timeline announces them; who is away by them is told in activity.py."""

from aviary.timeline.v1.events_pb2 import ReaderSeen

from runtime.bus import Poison, consumes
from svc_graph.deps import Deps

_ID_BYTES = 16


@consumes(ReaderSeen, durable="graph-reader-days")
async def keep_reader_day(event: ReaderSeen, deps: Deps) -> None:
    """A replay finds the day stored and does nothing; of days that come in another order the latest stays.

    Who may be taken for away is told to all processes after the day is stored. A process that dies between the two, or cannot tell,
    is missed: then nobody believes that anybody is away until the days have been read again.
    """
    if len(event.user_id) != _ID_BYTES:
        raise Poison("an id is not 16 bytes long")
    readers = deps.readers
    before = (await readers.days.seen([event.user_id])).get(event.user_id)
    if before is not None and before >= event.day:
        return
    if not readers.activity.may_be_away(event.user_id, before):
        await readers.days.put(event.user_id, event.day)
        return
    with readers.returns.doubted_unless_told():
        await readers.days.put(event.user_id, event.day)
        deps.faults.at("graph.return.after_stored")
        await readers.returns.tell(returned_ids=[event.user_id])
