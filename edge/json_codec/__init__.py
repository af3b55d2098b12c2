"""JSON of the public API, driven by descriptors: messages to JSON and back; which fields a route takes is the binding's matter."""
