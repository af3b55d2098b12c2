"""`aviary dlq`: what consumers set aside, looked at, handed back to who set it aside, or dropped."""
