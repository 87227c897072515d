"""Interactive video object segmentation: a robot that corrects, and how good results become."""
