"""A live room under the live-broadcast rules: pure, in order of event time, one state a room."""
