"""What bench/run is made of: processes, servers, the plan, targets, and the report."""
