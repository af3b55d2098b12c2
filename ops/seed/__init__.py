"""`aviary seed`: brings real accounts, follows and tweets into a running stack; which ones is decided in dataset.py."""
