"""Tests, by what they need. The folders whose tests share a stack are packages: it stops when the last of them is done."""
