"""How rules are learned: unrolls, meta-objectives, methods, the outer loop."""
