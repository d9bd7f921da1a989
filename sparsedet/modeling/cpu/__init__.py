"""Kernels that compute what torch's do, only faster on a CPU; each is switched on in one place."""
