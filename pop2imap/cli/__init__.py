"""The command line: one file a command, loaded when it is called for. Here options become a config, errors an
exit code, and nothing else happens; the work is done below."""
