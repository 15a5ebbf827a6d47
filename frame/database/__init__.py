"""Time-outs, the one clock, rules that were broken, prepared queries, migrations on live tables."""
