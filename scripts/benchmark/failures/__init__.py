"""Shows what consumers do when something goes wrong: run it as `scripts/failure-modes`."""
