"""What crosses the wire: bodies in, records and tensors checked against the card, JSON out."""
