"""HTTP/1.1: connections, admission control, and the turn of the event loop."""
