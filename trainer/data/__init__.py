"""From a file to rows, to parts, to the inputs of a network."""
