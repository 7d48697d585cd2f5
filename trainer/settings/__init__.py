"""What a run is told: its hyperparameters and settings, and how they are written on a command line and in Python."""
