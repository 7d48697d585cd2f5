"""From a trained classifier to a model file that needs nobody, and the gate it must pass."""
