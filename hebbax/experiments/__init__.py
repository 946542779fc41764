"""Every figure and table of the papers, and the jobs of the command line."""
