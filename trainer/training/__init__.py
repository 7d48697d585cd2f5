"""Training a network on encoded rows: epochs, checkpoints, what is frozen, how much rows count, and at which rate."""
