"""Our own rules that a machine can check: sizes, registry addresses, forbidden words; style that ruff knows is ruff's."""
