"""One file per rpc of GraphService."""
