"""`vigil doctor --producers`: measures the ends of the input topics, and grades what their producers do.

records ──▶ TopicMeasures (sample.py, bounded) ──▶ whose clock is ahead, how late the rest is (timing.py)
                                                  └──▶ checks (grades.py)
"""
