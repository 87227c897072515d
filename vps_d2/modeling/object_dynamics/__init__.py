"""Objects instead of pixels: where each one goes, and its mask drawn there.

Data flows from tracks (:mod:`.tracks`) over the state at the last input frame (:mod:`.state`) and
its motion (:mod:`.motion`) to masks (:mod:`.drawing`); :mod:`.camera` maps between the picture and
the floor. :mod:`.network` puts them together, :mod:`.losses` teaches them, and :mod:`.architecture`
registers ``ObjectDynamics``.
"""

from vps_d2.modeling.object_dynamics.architecture import ObjectDynamics
from vps_d2.modeling.object_dynamics.network import Future, ObjectDynamicsNetwork
from vps_d2.modeling.object_dynamics.tracks import Tracks, masks_to_tracks

__all__ = ["Future", "ObjectDynamics", "ObjectDynamicsNetwork", "Tracks", "masks_to_tracks"]
