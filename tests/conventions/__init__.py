"""What holds for the whole repository, written as tests that can fail."""
