"""The version of summary.json, for those who write and those who read it."""

SUMMARY_VERSION = 2
