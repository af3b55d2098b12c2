"""One file per rpc of the view plane."""
