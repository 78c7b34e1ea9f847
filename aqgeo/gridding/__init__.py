"""Kernels that move values between satellite pixels and map grids."""
