"""The experiments of the unsupervised update rule (Metz et al., ICLR 2019)."""
