"""The view plane: turns ids into what one viewer may see."""
