"""The contestants, one a module, each a program of its own: a fresh process for every round."""
