"""Long runs in which processes and servers are killed, hung or cut off. What is timed on a healthy stack is the rest of bench."""
