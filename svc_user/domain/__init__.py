"""What accounts, names and logins are and the rules about them; no I/O. accounts.py shows, names.py claims, logins.py continues."""
