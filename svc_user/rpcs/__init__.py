"""One file per rpc of UserService."""
