"""The `admin` subcommand: accounts with a role, and what moderation sets of others."""
