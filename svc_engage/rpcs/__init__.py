"""One module for each rpc of EngageService."""
