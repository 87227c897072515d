"""Networks and architectures that segment and follow the objects of videos."""
