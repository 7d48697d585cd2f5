"""Is it good? What the test rows say of a trained classifier, beside baselines, and what to be warned of."""
