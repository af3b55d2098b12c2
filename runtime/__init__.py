"""The small library that every service shares; knows processes, calls, events and stores, and nothing of tweets."""
