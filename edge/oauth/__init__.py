"""OAuth 2.0 for third-party apps: the pages and the routes of the protocol. What is stored, and who has which password, is svc_user's."""
