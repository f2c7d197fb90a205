"""Reading a tracking store: runs with their last values, points of metrics, artifacts.

Main entries: `open.open_store`, `base.Store`, `plan.Plan`, `point_cache.PointCache`.
"""
