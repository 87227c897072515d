"""Sharp predicted frames: each object's own pixels, moved to where it will be."""
