"""The laws of each plugin family, as classes of tests for a plugin's own tests to inherit."""
