"""Rows: records and columns, checked against the card, as the tensors of the model. Knows models/ alone."""
