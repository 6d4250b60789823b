"""Faces, mosaic, people, pose estimators, drawing: what works on pixels."""
