"""Video object segmentation: memory networks that follow given objects."""
