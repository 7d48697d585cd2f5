"""Many trainings on one table: random on the right scale, coarse to fine, on many processes or machines."""
