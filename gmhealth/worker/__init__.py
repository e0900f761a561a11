"""The synchronous core that all commands share: reads, writes, publishes, and settles after a fault (design 3)."""
