"""Every fault that was tried, through the real commands: what one sees, and the exit status."""
