"""How much of what a service accepted is still on its way: the one rpc that every service serves. The numbers come from others."""

from backlog.backlog import Backlog

__all__ = ["Backlog"]
