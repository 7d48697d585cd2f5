"""What is measured on probabilities of rows whose class is known, and the threshold that is chosen on them."""
