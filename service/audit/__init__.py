"""What is done with a prediction log afterwards: its answers are repeated, and lines of it erased."""
