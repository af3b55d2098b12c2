"""What Redis remembers of a reader: where the reader is connected, and what the reader wrote lately. All of it may be lost."""
