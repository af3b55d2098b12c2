"""Calls between processes of the mesh, many on one stream; how a call is judged, and what it carries, is runtime/'s."""

from coalesced.channel import open_channel
from coalesced.process import MeshProcess, main
from coalesced.serving import LineServicer

__all__ = ["LineServicer", "MeshProcess", "main", "open_channel"]
