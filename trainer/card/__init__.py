"""The card of a trained classifier, and what it keeps of the training rows."""
