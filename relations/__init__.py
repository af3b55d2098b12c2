"""How viewers stand to others (follows, blocks, mutes), kept while the signals of svc_graph allow. What is hidden is decided elsewhere."""
