"""Who resembles whom: the index of hashes, groups, and which of a group to keep."""
