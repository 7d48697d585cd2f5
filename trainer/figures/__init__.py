"""The figures of a trained bag: what its report is drawn from, measured once and bounded in size."""
