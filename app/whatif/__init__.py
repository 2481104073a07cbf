"""What if a number were another? Candidate rulebooks made from one that is in force, pure."""
