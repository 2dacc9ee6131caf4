"""The edge towards the machine: systemd, the log, failpoints."""
