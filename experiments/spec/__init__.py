"""What a sweep asks for: the file, its checks and its schema."""
