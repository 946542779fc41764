"""The figures of BLUR (Sandler et al. 2021), one file each."""
