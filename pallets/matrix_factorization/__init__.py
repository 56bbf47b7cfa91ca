"""Bayesian matrix factorization learned by the chain itself from signed ratings."""
