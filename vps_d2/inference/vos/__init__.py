"""Following objects through a video, from masks that a user gives."""
