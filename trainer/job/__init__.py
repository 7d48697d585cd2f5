"""A training job from the table to the published version."""
