"""The embedded engine: Detectron2's names, for machines without Detectron2.

It covers what this project uses and no more, with Detectron2's signatures and semantics, based on
the libraries that Detectron2 itself builds on. Import the names from :mod:`vps_d2.d2`, not from
here. The engine imports nothing from the project around it.

Mask R-CNN is written out in :mod:`vps_d2.d2.embedded.modeling` although torchvision has one, so
that checkpoints can be exchanged with Detectron2; see there.
"""
