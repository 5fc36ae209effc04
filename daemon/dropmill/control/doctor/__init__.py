"""``dropmill check``: does this machine allow what the configuration says? One check a file, each finding with its fix."""
