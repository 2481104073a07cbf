"""What if a number were another, and why was it so? Backtests, sweeps, shadows, and explanations of verdicts."""
