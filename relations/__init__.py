"""How viewers stand to others: follows, blocks and mutes as svc_graph has them, kept while its signals allow. What is hidden is not decided here."""
