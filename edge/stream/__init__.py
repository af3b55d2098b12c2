"""`/api/v1/stream`: tweets and deletions live to connected readers, over WebSockets."""
