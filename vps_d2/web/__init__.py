"""The page on which a video is annotated: its server, and what stands behind it.

``annotator``, ``frames`` and ``jobs`` know nothing of HTTP, and import without FastAPI; ``guard``,
``routes`` and ``server`` are the HTTP side.
"""
