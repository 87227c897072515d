"""The commands: a module each, which reads a command line and calls the rest of the package."""
