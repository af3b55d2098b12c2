"""Rules and values of engagement: what is counted, how rows are split, what a mark is. No I/O."""
