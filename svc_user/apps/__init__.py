"""What third-party apps do: clients.py says who they are, consents.py what users let them do, codes.py how that becomes a login."""
