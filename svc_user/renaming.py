"""How an account comes from one unique name to another; that its row is written in between is in changes.py.

A name moves in four writes: the new one is claimed, a username that is given up is held, the row is written, the old claim is let
go. Which name the account bears its row says alone, so a move is done with the third. Dead before it: the new claim ends in minutes,
unless the next try goes on with it. Dead after it: the old claim ends when it would have, only its row stays. Whoever writes a name
into the row, in another case too, claims it at the version of the write, so that nobody who was slower lets go of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from runtime.errors import Unavailable
from svc_user.deps import Deps
from svc_user.domain.accounts import User
from svc_user.domain.names import HELD_S, Claim, username_key
from svc_user.errors import EmailTaken, UsernameTaken
from svc_user.names import claim


@dataclass(frozen=True, slots=True)
class Move:
    """A name that is taken and the one that is given up for it, with their claims as they were found; None without one."""

    new: bytes
    earlier: Claim | None
    old: bytes | None
    given_up: Claim | None
    is_username: bool


async def moves_of(before: User, after: User, deps: Deps) -> list[Move]:
    """The names that differ, if only in case. The e-mail address first: whose claim is left behind is then no other's loss for long."""
    pairs = []
    if after.email != before.email:
        old = deps.emails.open(before.email, before.user_id)
        new_email = deps.emails.claim_key(deps.emails.open(after.email, after.user_id))
        pairs.append((new_email, deps.emails.claim_key(old) if old else None, False))
    if after.username != before.username:
        pairs.append((username_key(after.username), username_key(before.username), True))
    claims = await deps.store.claims({key for new, old, _ in pairs for key in (new, old) if key}) if pairs else {}
    return [
        Move(new, claims.get(new), old if old != new else None, _own(claims.get(old or b""), before), is_username)
        for new, old, is_username in pairs
    ]


def least_version(moves: Sequence[Move], user: User) -> int:
    """The row must be written above what an earlier try may have left in a queue of the database, and above what makes that void."""
    own = [_own(move.earlier, user) for move in moves]
    return max((claim.written_us + 2 for claim in own if claim), default=0)


async def take(moves: Sequence[Move], wanted: Claim, deps: Deps) -> None:
    """Claim the new names. Raises UsernameTaken, EmailTaken; what was claimed until then ends by itself."""
    for move in moves:
        holder = await claim(move.new, wanted, deps)
        if holder.user_id != wanted.user_id:
            raise UsernameTaken() if move.is_username else EmailTaken()
        if holder != wanted:
            await _claim_again(move.new, holder, wanted, deps)
    if moves:
        deps.faults.at("user.rename.after_claims")


async def hold(moves: Sequence[Move], now_ms: int, deps: Deps) -> list[Move]:
    """Keep usernames that are given up for their account, from before it bears them no more. Returns the moves with these claims."""
    kept = []
    for move in moves:
        if move.is_username and move.old and move.given_up:
            held = replace(move.given_up, until_ms=now_ms + HELD_S * 1000)
            if await deps.store.take_over(move.old, move.given_up, held) != held:
                raise _meanwhile()
            kept.append(replace(move, given_up=held))
        else:
            kept.append(move)
    if moves:
        deps.faults.at("user.rename.after_holds")
    return kept


async def let_go(moves: Sequence[Move], deps: Deps) -> None:
    """When the row is written: claims of names that were given up end, of usernames after the time that they are held."""
    for move in moves:
        if move.old and move.given_up and move.is_username:
            await deps.store.expire(move.old, move.given_up, HELD_S)
        elif move.old and move.given_up:
            await deps.store.release(move.old, move.given_up)


async def _claim_again(key: bytes, holder: Claim, wanted: Claim, deps: Deps) -> None:
    renewed = replace(wanted, until_ms=max(wanted.until_ms or 0, holder.until_ms or 0))
    if wanted.written_us <= holder.written_us + 1 or await deps.store.take_over(key, holder, renewed) != renewed:
        raise _meanwhile()


def _own(claim: Claim | None, user: User) -> Claim | None:
    return claim if claim is not None and claim.user_id == user.user_id else None


def _meanwhile() -> Unavailable:
    return Unavailable("another change of the account's names is under way; try again", retry_after_s=1)
