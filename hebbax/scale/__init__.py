"""More than one device or machine: shardings of the outer loop's arrays, workers on a cluster."""
