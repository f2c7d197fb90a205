"""What happens in the process that trains."""
