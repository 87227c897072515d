"""What is drawn on frames, and the films, sheets and pages made of it."""
