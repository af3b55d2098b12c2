"""What a tweet is and the rules about it; no I/O. length.py weighs, urls.py and marks.py find, tweets.py and texts.py decide."""
