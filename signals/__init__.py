"""Signals that tell caches of all processes at once what changed, and show when something may have gone unheard."""
