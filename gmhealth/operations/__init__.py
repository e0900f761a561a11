"""What each command does, without a terminal: takes a `Session`, returns a model."""
