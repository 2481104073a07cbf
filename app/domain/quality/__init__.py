"""How good a rule is, by what moderators decided about its verdicts. Pure; console, metrics and backtest share it."""
