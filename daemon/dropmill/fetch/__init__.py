"""URLs: from a line of a drop-file to a file that is complete, verified and durable."""
