"""Mask R-CNN (arXiv 1703.06870) on torchvision's operations, with Detectron2's weights.

torchvision has its own Mask R-CNN, but weights cannot be exchanged between it and Detectron2. Its
parameters have other names and partly other shapes, and its rules differ, so that the same weights
would lead to other detections:

- the class of background is the first there and the last in Detectron2, and boxes and masks are
  predicted for it too;
- images are resized and normalized inside the model, not as INPUT and PIXEL_MEAN say;
- anchors and the boxes that masks are pasted into are rounded to whole pixels;
- RoIAlign has no half-pixel offset there, and smooth L1 becomes linear at another point;
- most keys of MODEL.RESNETS, FPN, RPN and ROI_HEADS have no counterpart.

So the parts are implemented here from the papers, with Detectron2's parameter names and rules. A
checkpoint of either engine loads into the other, and tests show with random weights that both
compute the same losses and detections.
"""

from vps_d2.d2.embedded.modeling.backbone import build_backbone
from vps_d2.d2.embedded.modeling.build import META_ARCH_REGISTRY, build_model
from vps_d2.d2.embedded.modeling.meta_arch import GeneralizedRCNN

__all__ = ["META_ARCH_REGISTRY", "GeneralizedRCNN", "build_backbone", "build_model"]
