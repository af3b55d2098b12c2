"""Each part of a running stack killed, hung or out of room."""
