"""Experiments of the VSML paper, one file each."""
