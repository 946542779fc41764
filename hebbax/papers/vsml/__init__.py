"""The figures of VSML (Kirsch and Schmidhuber 2020), one file each."""
