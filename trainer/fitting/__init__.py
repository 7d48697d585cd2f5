"""How networks come about: a bag in one process or in several, and the student that learns from it."""
