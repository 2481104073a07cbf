"""`vigil doctor --producers`: measures the ends of the input topics, and grades what their producers do.

records ──▶ TopicMeasures (sample.py, bounded) ──▶ checks (grades.py)
"""
