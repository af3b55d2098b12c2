"""Parts of a running stack are killed or hang, and what its clients were promised."""
