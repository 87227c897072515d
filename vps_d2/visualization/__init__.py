"""Drawings on frames, and the films, contact sheets and pages made of them."""
