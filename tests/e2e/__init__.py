"""What goes through the edge of a running stack."""
