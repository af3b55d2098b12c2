"""One file per rpc of TweetService."""
