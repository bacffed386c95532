"""One module per noun; each has `COMMANDS`."""
