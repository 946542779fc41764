"""The experiments of VSML."""
