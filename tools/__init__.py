"""What `make` runs to keep the repository true: generation and checks; nothing here is imported by a service."""
