"""One file per rpc of TimelineService."""
