"""A host under the enforcement ladders, pure: verdicts and reviews in, actions and their revisions out."""
