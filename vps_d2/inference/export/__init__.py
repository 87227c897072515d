"""Trained models as files that other runtimes run: ONNX, or programs of torch.export.

:mod:`.steps` says what of each architecture is exported, :mod:`.formats` writes it, and
:mod:`.checks` compares it with the model itself.
"""
